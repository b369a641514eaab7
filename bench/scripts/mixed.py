"""A dictionary counted up, strings joined, numbers added: what the interpreter's own loop is for."""

counts = {}
for i in range(30000):
    counts[str(i * 7 % 1009)] = counts.get(str(i * 7 % 1009), 0) + i
text = " ".join(f"{key}={value}" for key, value in sorted(counts.items()))
print(len(text.split("=")), sum(i * i for i in range(100000)))
