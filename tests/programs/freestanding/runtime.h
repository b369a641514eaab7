/* What runtime.c offers. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int i32;
typedef signed long long i64;
void put(const char *text);
void put_hex(u64 value, int digits);
