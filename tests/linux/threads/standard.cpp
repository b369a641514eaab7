// Threads as C++ has them: thread, async, promise, condition_variable, thread_local, atomic, call_once, exceptions.
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <numeric>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Local {
    static std::atomic<int> alive;
    int value = 3;
    Local() { alive++; }
    ~Local() { alive--; }
};
std::atomic<int> Local::alive{0};
thread_local Local local;

class Pool {
  public:
    explicit Pool(int count) {
        for (int i = 0; i < count; i++)
            threads.emplace_back([this] { run(); });
    }
    ~Pool() {
        {
            std::lock_guard guard(lock);
            stopping = true;
        }
        changed.notify_all();
        for (auto &thread : threads)
            thread.join();
    }
    template <class F> auto submit(F f) {
        auto task = std::make_shared<std::packaged_task<decltype(f())()>>(std::move(f));
        auto result = task->get_future();
        {
            std::lock_guard guard(lock);
            queue.emplace_back([task] { (*task)(); });
        }
        changed.notify_one();
        return result;
    }

  private:
    void run() {
        local.value++;
        for (;;) {
            std::function<void()> job;
            {
                std::unique_lock guard(lock);
                changed.wait(guard, [this] { return stopping || !queue.empty(); });
                if (queue.empty())
                    return;
                job = std::move(queue.front());
                queue.pop_front();
            }
            job();
        }
    }
    std::mutex lock;
    std::condition_variable changed;
    std::deque<std::function<void()>> queue;
    std::vector<std::thread> threads;
    bool stopping = false;
};

int main() {
    {
        Pool pool(4);
        std::vector<std::future<long>> results;
        for (int i = 0; i < 100; i++)
            results.push_back(pool.submit([i]() -> long {
                if (i == 50)
                    throw std::runtime_error("fifty");
                std::vector<int> numbers(i);
                std::iota(numbers.begin(), numbers.end(), 0);
                return std::accumulate(numbers.begin(), numbers.end(), 0L);
            }));
        long sum = 0;
        for (auto &result : results)
            try {
                sum += result.get();
            } catch (const std::exception &error) {
                std::printf("caught %s\n", error.what());
            }
        std::printf("sum %ld\n", sum);
    }
    std::printf("thread locals alive %d, here %d\n", Local::alive.load(), local.value);
    auto one = std::async(std::launch::async, [] { return std::string("async"); });
    auto two = std::async(std::launch::deferred, [] { return 2; });
    std::printf("%s %d\n", one.get().c_str(), two.get());
    std::promise<int> promise;
    std::thread sender([&] { promise.set_value(42); });
    std::printf("promise %d\n", promise.get_future().get());
    sender.join();
    std::once_flag once;
    std::atomic<int> called{0}, total{0};
    std::shared_mutex shared;
    int value = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; i++)
        threads.emplace_back([&, i] {
            std::call_once(once, [&] { called++; });
            for (int j = 0; j < 500; j++) {
                if (j % 10 == i) {
                    std::unique_lock guard(shared);
                    value++;
                } else {
                    std::shared_lock guard(shared);
                    total.fetch_add(value >= 0, std::memory_order_relaxed);
                }
            }
            try {
                throw i;
            } catch (int thrown) {
                total += thrown;
            }
        });
    for (auto &thread : threads)
        thread.join();
    std::printf("called %d value %d total %d\n", called.load(), value, total.load());
    std::mutex lock;
    std::condition_variable never;
    std::unique_lock guard(lock);
    std::printf("timeout %d\n", never.wait_for(guard, std::chrono::milliseconds(5)) == std::cv_status::timeout);
    return 0;
}
