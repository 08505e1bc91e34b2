// Parallel: how is a range of independent work shared between threads, with results that do not depend on their number?
#pragma once

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace nearrow {

inline int resolve_threads(int threads) {
    if (threads > 0) return std::min(threads, 256);
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// A fixed team that runs one task at a time on every thread; the caller is thread 0.
class Team {
  public:
    explicit Team(int threads) : size_(threads), start_(threads), finish_(threads) {
        for (int t = 1; t < threads; ++t) workers_.emplace_back([this, t] { serve(t); });
    }
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;
    ~Team() {
        stopping_ = true;
        if (size_ > 1) start_.arrive_and_wait();
        for (std::thread& worker : workers_) worker.join();
    }
    int size() const { return size_; }

    // Calls task(thread) once on every thread; the first exception is thrown here.
    void run(const std::function<void(int)>& task) {
        if (size_ == 1) return task(0);
        task_ = &task;
        failure_ = nullptr;
        start_.arrive_and_wait();
        guarded(0);
        finish_.arrive_and_wait();
        if (failure_ != nullptr) std::rethrow_exception(failure_);
    }

    // Calls body(thread, begin, end) for pieces of [0, n), handed out as threads become free.
    template <class Body>
    void each(int64_t n, int64_t piece, const Body& body) {
        std::atomic<int64_t> next{0};
        run([&](int thread) {
            for (;;) {
                const int64_t begin = next.fetch_add(piece, std::memory_order_relaxed);
                if (begin >= n) return;
                body(thread, begin, std::min(n, begin + piece));
            }
        });
    }

  private:
    void serve(int thread) {
        for (;;) {
            start_.arrive_and_wait();
            if (stopping_) return;
            guarded(thread);
            finish_.arrive_and_wait();
        }
    }
    void guarded(int thread) {
        try {
            (*task_)(thread);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (failure_ == nullptr) failure_ = std::current_exception();
        }
    }

    int size_;
    bool stopping_ = false;
    const std::function<void(int)>* task_ = nullptr;
    std::exception_ptr failure_;
    std::mutex mutex_;
    std::barrier<> start_;
    std::barrier<> finish_;
    std::vector<std::thread> workers_;
};

}  // namespace nearrow
