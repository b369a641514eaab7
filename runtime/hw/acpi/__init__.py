"""ACPI tables: their bytes, AML for what they describe, and how they come into a guest's memory."""
