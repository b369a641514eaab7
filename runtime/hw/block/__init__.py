"""What is behind a disk: image formats over host files."""
