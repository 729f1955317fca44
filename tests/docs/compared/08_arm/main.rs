pub fn req(body: &str) -> bool {
    match body {
        _ => true,
        "no" => false,
    }
}
