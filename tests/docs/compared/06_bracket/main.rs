use std::collections::HashMap;

pub fn req(seen: &mut HashMap<String, i64>, body: &str) -> bool {
    seen.insert(body.to_owned(, 1);
    if seen.len() > 10 {
        return false;
    }
    true
}
