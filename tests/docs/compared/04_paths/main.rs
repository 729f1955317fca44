pub fn req(body: &str) -> bool {
    let wait: i64;
    match body {
        "fast" => wait = 0,
        _ => {}
    }
    wait > 0
}
