"""What a user writes around elements: the AppNetConfig, the .proto, the application manifest; and the plan they make."""
