// Helpers: which threads are there for work of about a millisecond?
//
// Such work is over before a new thread has begun. These wait for it, and are woken in some fifty microseconds, while
// the caller has begun already.
#pragma once

#include <cstddef>
#include <functional>

namespace nearrow {

// Calls body(i) once for each i below n: here, and on up to threads - 1 helpers; on none if they are busy with other
// work. The first exception is thrown here, and then some i may have been left out.
void share(std::size_t n, int threads, const std::function<void(std::size_t)>& body);

}  // namespace nearrow
