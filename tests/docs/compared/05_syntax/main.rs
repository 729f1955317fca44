pub struct State { total i64 }

pub fn req() -> i64 {
    let total = = 1;
    send(1 2)
}

pub fn resp() -> i64 {
    totl
}
