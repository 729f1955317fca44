pub struct State {
    seen: std::collections::HashMap<String, i64>,
    total: i64,
    seen: Vec<String>,
}
