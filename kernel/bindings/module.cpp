#include "module.h"

#include <cstring>
#include <stdexcept>

#include "../builder.h"
#include "../simd.h"

namespace nb = nanobind;

namespace nearrow {

Metric metric_from(const char* name) {
    if (std::strcmp(name, "l2") == 0) return Metric::l2;
    if (std::strcmp(name, "cosine") == 0) return Metric::cosine;
    if (std::strcmp(name, "dot") == 0) return Metric::dot;
    throw std::invalid_argument(std::string("unknown metric '") + name + "': use l2, cosine or dot");
}

}  // namespace nearrow

namespace {

void raise(const char* type, const char* message) {
    const nb::object error = nb::module_::import_("nearrow.errors").attr(type);
    PyErr_SetString(error.ptr(), message);
}

void translate(const std::exception_ptr& failure, void*) {
    try {
        std::rethrow_exception(failure);
    } catch (const nearrow::Corruption& error) {
        raise("CorruptionError", error.what());
    } catch (const nearrow::Incompatible& error) {
        raise("IncompatibleFormatError", error.what());
    } catch (const nearrow::Cancelled& error) {
        PyErr_SetString(PyExc_InterruptedError, error.what());
    } catch (const std::invalid_argument& error) {
        raise("InvalidArgumentError", error.what());
    }
}

}  // namespace

NB_MODULE(_kernel, module) {
    // A database that a script leaves open is alive when the interpreter ends; that is no leak to warn of.
    nb::set_leak_warnings(false);
    nb::register_exception_translator(translate);
    module.def("simd", [] { return nearrow::simd().name; }, "The instruction set in use.");
    module.def("force_simd", &nearrow::force_simd,
               "Choose an instruction set (tests); False when this machine lacks it.");
    bind_vectors(module);
    bind_graph(module);
    bind_flat(module);
    bind_string_match(module);
    bind_columns(module);
#ifdef NEARROW_ID_TABLE
    bind_id_table(module);
#endif
}
