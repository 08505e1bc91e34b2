/* Reads rows of a table in a given order, each fetched some rows ahead: how fast can memory give them? */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

enum { LINE = 64, HUGE_PAGE = 1 << 21 };

/* Memory of which every line was written, in large pages where the system grants them; null when there is none. */
void* read_table(size_t bytes) {
    char* memory = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    char* table = (char*)(((uintptr_t)memory + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
#ifdef MADV_HUGEPAGE
    madvise(table, bytes, MADV_HUGEPAGE);
#endif
    for (size_t at = 0; at < bytes; at += LINE) table[at] = 1;
    return table;
}

/* One load from every line of every row; returns a sum, so that nothing is left out. */
uint64_t read_rows(const char* table, size_t row_bytes, const uint32_t* order, size_t n, size_t ahead) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n; ++i) {
        if (i + ahead < n) {
            const char* next = table + order[i + ahead] * row_bytes;
            for (size_t at = 0; at < row_bytes; at += LINE) __builtin_prefetch(next + at, 0, 2);
        }
        const char* row = table + order[i] * row_bytes;
        for (size_t at = 0; at < row_bytes; at += LINE) sum += *(const uint64_t*)(row + at);
    }
    return sum;
}
