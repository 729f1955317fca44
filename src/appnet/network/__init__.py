"""What a user writes around elements: AppNetConfig, .proto, application manifest; and the plan that they make."""
