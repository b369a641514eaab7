"""The Tiny Code Generator: intermediate ops, their lowering, translation blocks and the native engine."""
