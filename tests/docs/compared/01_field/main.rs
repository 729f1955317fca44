#![allow(dead_code)]
pub struct Msg { body: String }

pub fn req(msg: &Msg) -> bool {
    msg.bodi.is_empty()
}
