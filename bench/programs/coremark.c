/* A mix after the well-known benchmark's description: list sorting, integer matrices, a state machine, a CRC.
 */
#include <stdint.h>
#include <stdio.h>
struct item {
    struct item *next;
    int16_t key, value;
};
static struct item items[300];
static int16_t ma[12][12], mb[12][12];
static int32_t mc[12][12];
static uint16_t crc(uint16_t sum, uint32_t value, int bytes) {
    for (int i = 0; i < bytes * 8; i++, value >>= 1)
        sum = (uint16_t)((sum ^ value) & 1 ? sum >> 1 ^ 0xa001 : sum >> 1);
    return sum;
}
static struct item *sort(struct item *list, int n, int by_value) {
    if (n < 2) {
        if (list)
            list->next = NULL;
        return list;
    }
    struct item *right = list, head, *tail = &head;
    for (int i = 0; i < n / 2; i++)
        right = right->next;
    struct item *b = sort(right, n - n / 2, by_value), *a = sort(list, n / 2, by_value);
    while (a && b) {
        int first = by_value ? a->value <= b->value : a->key <= b->key;
        struct item **from = first ? &a : &b;
        tail = tail->next = *from;
        *from = (*from)->next;
    }
    tail->next = a ? a : b;
    return head.next;
}
static int machine(const char *p, int counts[6]) {
    int state = 0;
    for (; *p; p++) {
        char c = *p;
        if (c == ',')
            counts[state]++, state = 0;
        else
            switch (state) {
            case 0: state = c == '-' || c == '+' ? 1 : c >= '0' && c <= '9' ? 2 : c == '.' ? 3 : 5; break;
            case 1: state = c >= '0' && c <= '9' ? 2 : c == '.' ? 3 : 5; break;
            case 2: state = c == '.' ? 3 : c >= '0' && c <= '9' ? 2 : 5; break;
            case 3: state = c == 'e' ? 4 : c >= '0' && c <= '9' ? 3 : 5; break;
            case 4: state = (c >= '0' && c <= '9') || c == '-' ? 4 : 5; break;
            }
    }
    return state;
}
int main(void) {
    const char *text = "123,-45,3.14,2.5e7,abc,+9,.5,1e5,--3,0.001e-3,77777,x1,5.,-.25e9,";
    uint16_t sum = 0;
    for (int round = 0; round < 7000; round++) {
        uint32_t seed = (uint32_t)round + 1;
        for (int i = 0; i < 300; i++) {
            seed = seed * 1103515245 + 12345;
            items[i] =
                (struct item){i < 299 ? &items[i + 1] : NULL, (int16_t)(seed >> 16), (int16_t)(seed >> 3)};
        }
        struct item *list = sort(sort(items, 300, 0), 300, 1);
        for (struct item *i = list; i; i = i->next)
            sum = crc(sum, (uint16_t)i->key, 1);
        for (int i = 0; i < 12; i++)
            for (int j = 0; j < 12; j++)
                ma[i][j] = (int16_t)(i * j + round), mb[i][j] = (int16_t)(i - j);
        for (int i = 0; i < 12; i++)
            for (int j = 0; j < 12; j++) {
                int32_t s = 0;
                for (int k = 0; k < 12; k++)
                    s += (int32_t)ma[i][k] * mb[k][j];
                mc[i][j] = s;
            }
        for (int i = 0; i < 12; i++)
            sum = crc(sum, (uint32_t)mc[i][11 - i], 4);
        int counts[6] = {0};
        for (int k = 0; k < 10; k++)
            sum = (uint16_t)(sum + machine(text, counts));
        for (int i = 0; i < 6; i++)
            sum = crc(sum, (uint32_t)counts[i], 2);
    }
    printf("%04x\n", sum);
}
