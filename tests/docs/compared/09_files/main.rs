mod limit {
    pub fn init(_limit: i64) {}
}

pub fn configure() {
    limit::init("many");
}
