// The standard containers against each other, sorts of a hundred thousand, and their iterators' rules.
#include <algorithm>
#include <array>
#include <bitset>
#include <cstdio>
#include <deque>
#include <forward_list>
#include <functional>
#include <list>
#include <map>
#include <numeric>
#include <queue>
#include <set>
#include <stack>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

static unsigned long seed = 12345;
static unsigned next() { return static_cast<unsigned>((seed = seed * 6364136223846793005UL + 1442695040888963407UL) >> 33); }

int main() {
    std::vector<unsigned> values(100000);
    for (auto &value : values)
        value = next() % 50000;
    auto sorted = values, stable = values, heap = values;
    std::sort(sorted.begin(), sorted.end());
    std::stable_sort(stable.begin(), stable.end(), [](unsigned a, unsigned b) { return a % 100 < b % 100; });
    std::make_heap(heap.begin(), heap.end());
    std::sort_heap(heap.begin(), heap.end());
    std::printf("sorted %d heap %d\n", std::is_sorted(sorted.begin(), sorted.end()), heap == sorted);
    unsigned long hash = 0;
    for (auto value : stable)
        hash = hash * 31 + value;
    std::printf("stable %lx\n", hash);
    std::map<unsigned, int> counts;
    std::unordered_map<unsigned, int> hashed;
    std::multiset<unsigned> many(values.begin(), values.begin() + 5000);
    for (auto value : values)
        counts[value]++, hashed[value]++;
    bool same = counts.size() == hashed.size();
    for (auto [key, count] : counts)
        same = same && hashed.at(key) == count;
    std::printf("maps %zu %d, multiset %zu\n", counts.size(), same, many.count(*many.begin()));
    auto range = std::equal_range(sorted.begin(), sorted.end(), 777u);
    std::printf("equal range %ld, map says %d\n", static_cast<long>(range.second - range.first), counts[777]);
    std::map<std::string, std::vector<int>> words;
    for (int i = 0; i < 1000; i++)
        words["key" + std::to_string(next() % 37)].push_back(i);
    long sum = 0;
    for (const auto &[word, list] : words)
        sum += std::accumulate(list.begin(), list.end(), 0L) * static_cast<long>(word.size());
    std::printf("words %zu %ld %s\n", words.size(), sum, words.begin()->first.c_str());
    std::list<int> list{5, 3, 9, 1}, other{2, 8};
    list.sort(), other.sort();
    list.merge(other);
    list.reverse();
    list.remove_if([](int n) { return n % 3 == 0; });
    for (int n : list)
        std::printf("%d ", n);
    std::deque<int> deque;
    for (int i = 0; i < 1000; i++)
        i % 2 ? deque.push_back(i) : deque.push_front(i);
    deque.erase(deque.begin() + 10, deque.end() - 10);
    std::printf("deque %zu %d %d\n", deque.size(), deque.front(), deque.back());
    std::priority_queue<int, std::vector<int>, std::greater<>> queue;
    for (int i = 0; i < 20; i++)
        queue.push(static_cast<int>(next() % 100));
    for (; !queue.empty(); queue.pop())
        std::printf("%d ", queue.top());
    std::set<std::tuple<int, std::string>> tuples{{2, "b"}, {1, "z"}, {2, "a"}};
    for (const auto &[n, s] : tuples)
        std::printf("%d%s ", n, s.c_str());
    std::forward_list<int> forward{1, 2, 3};
    forward.insert_after(forward.begin(), 9);
    std::bitset<70> bits(0xF0F0F0F0F0F0F0F0UL);
    bits <<= 3;
    std::printf("%d %zu %s\n", *std::next(forward.begin()), bits.count(), bits.to_string().c_str());
    std::array<int, 5> letters{1, 2, 3, 4, 5};
    do
        hash = hash * 7 + letters[0] * 10 + letters[4];
    while (std::next_permutation(letters.begin(), letters.end()));
    std::printf("permutations %lx\n", hash);
    std::unordered_set<std::string> set;
    for (int i = 0; i < 3000; i++)
        set.insert(std::to_string(next() % 1000));
    std::partial_sort(values.begin(), values.begin() + 5, values.end());
    std::nth_element(values.begin() + 5, values.begin() + 1000, values.end());
    auto end = std::unique(sorted.begin(), sorted.end());
    std::printf("%zu %u %u %ld\n", set.size(), values[4], values[1000], static_cast<long>(end - sorted.begin()));
    std::string text = "the quick brown fox";
    std::rotate(text.begin(), text.begin() + 4, text.end());
    std::replace(text.begin(), text.end(), ' ', '_');
    std::printf("%s %zu\n", text.c_str(), text.find("fox"));
}
