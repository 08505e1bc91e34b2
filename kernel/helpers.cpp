#include "helpers.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace nearrow {
namespace {

struct Job {
    std::size_t n;
    const std::function<void(std::size_t)>& body;
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure{};
    std::mutex mutex{};

    void work() {
        try {
            for (std::size_t i = next.fetch_add(1); i < n; i = next.fetch_add(1)) body(i);
        } catch (...) {
            next = n;
            const std::lock_guard<std::mutex> lock(mutex);
            if (failure == nullptr) failure = std::current_exception();
        }
    }
};

// Does one job at a time. Never destroyed: its threads wait until the process ends.
class Crew {
  public:
    // False if it has another job.
    bool begin(Job& job, int helpers) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (job_ != nullptr) return false;
        try {
            for (; threads_ < helpers; ++threads_) std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {
            // The system has no more threads: those that there are do it.
        }
        job_ = &job;
        wanted_ = helpers;
        called_.notify_all();
        return true;
    }
    // Returns when no helper knows the job any more.
    void end() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            wanted_ = 0;
        }
        while (inside_.load(std::memory_order_acquire) != 0) std::this_thread::yield();  // a few microseconds
        const std::lock_guard<std::mutex> lock(mutex_);
        job_ = nullptr;
    }

  private:
    void serve() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            called_.wait(lock, [this] { return wanted_ > 0; });
            --wanted_;
            inside_.fetch_add(1, std::memory_order_relaxed);
            Job& job = *job_;
            lock.unlock();
            job.work();
            inside_.fetch_sub(1, std::memory_order_release);
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable called_;
    Job* job_ = nullptr;
    int wanted_ = 0;  // how many may still join
    int threads_ = 0;
    std::atomic<int> inside_{0};
};

std::atomic<Crew*> the_crew{nullptr};

Crew& crew() {
    static const bool made = [] {
        the_crew = new Crew;
#if defined(__unix__) || defined(__APPLE__)
        // A forked child has none of its parent's threads, and nobody who would unlock what they had locked.
        pthread_atfork(nullptr, nullptr, [] { the_crew = new Crew; });
#endif
        return true;
    }();
    static_cast<void>(made);
    return *the_crew;
}

}  // namespace

void share(std::size_t n, int threads, const std::function<void(std::size_t)>& body) {
    Job job{n, body};
    const int helpers = static_cast<int>(std::min<std::size_t>(n, static_cast<std::size_t>(std::max(threads, 1)))) - 1;
    Crew& known = crew();
    const bool helped = helpers > 0 && known.begin(job, helpers);
    job.work();
    if (helped) known.end();
    if (job.failure != nullptr) std::rethrow_exception(job.failure);
}

}  // namespace nearrow
