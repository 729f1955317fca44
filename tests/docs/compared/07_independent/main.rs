#![allow(dead_code)]
pub struct Msg { body: String }

pub fn req(msg: &Msg) -> String {
    substr(&msg.bodi, start + 1)
}
