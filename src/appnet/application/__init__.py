"""What users write around elements: AppNetConfig, specification, .proto and manifest."""
