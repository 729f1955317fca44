pub fn req(body: String) -> i64 {
    let total: i64;
    total = body;
    total
}
