// Python's view of the id table: convert, release the GIL, call.

#include "../id_table.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "../packed_hits.h"

namespace nb = nanobind;

namespace {

using nearrow::IdBuildFailure;
using nearrow::IdChunk;
using nearrow::IdColumn;
using nearrow::IdKind;
using nearrow::IdTable;

// A buffer that Python lent us, given back at the end.
class Lent {
  public:
    explicit Lent(nb::handle source) {
        if (source.is_none()) return;
        if (PyObject_GetBuffer(source.ptr(), &view_, PyBUF_SIMPLE) != 0) throw nb::python_error();
        held_ = true;
    }
    Lent(Lent&& other) noexcept : view_(other.view_), held_(std::exchange(other.held_, false)) {}
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    Lent& operator=(Lent&&) = delete;
    ~Lent() {
        if (held_) PyBuffer_Release(&view_);
    }
    std::span<const std::byte> bytes() const noexcept {
        if (!held_) return {};
        return {static_cast<const std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
    }

  private:
    Py_buffer view_ = {};
    bool held_ = false;
};

// An id column and the buffers that it refers to. A chunk comes as (validity, offsets, values, offset, length): an
// Arrow array's buffers and its place in them.
struct LentColumn {
    LentColumn(bool strings, bool wide_offsets, const nb::list& parts)
        : column(strings ? IdKind::string : IdKind::int64, chunks_of(wide_offsets, parts)) {}
    LentColumn(const LentColumn&) = delete;
    LentColumn& operator=(const LentColumn&) = delete;

    std::vector<IdChunk> chunks_of(bool wide_offsets, const nb::list& parts);

    std::vector<Lent> lent;
    IdColumn column;
};

std::vector<IdChunk> LentColumn::chunks_of(bool wide_offsets, const nb::list& parts) {
    std::vector<IdChunk> chunks;
    std::size_t total = 0;
    for (nb::handle item : parts) {
        const nb::tuple part = nb::cast<nb::tuple>(item);
        if (part.size() != 5) throw nb::value_error("a chunk is (validity, offsets, values, offset, length)");
        IdChunk chunk;
        chunk.validity = lent.emplace_back(part[0]).bytes();
        chunk.offsets = lent.emplace_back(part[1]).bytes();
        chunk.values = lent.emplace_back(part[2]).bytes();
        chunk.offset = nb::cast<std::size_t>(part[3]);
        chunk.length = nb::cast<std::size_t>(part[4]);
        chunk.wide_offsets = wide_offsets;
        // Positions are int32 in the graph and uint32 here; this also keeps every sum of sizes far from overflow.
        if (chunk.offset > (std::size_t{1} << 40) || chunk.length > INT32_MAX || (total += chunk.length) > INT32_MAX)
            throw nb::value_error("more ids than a segment may hold (2^31 - 1)");
        chunks.push_back(chunk);
    }
    return chunks;
}

struct LentTable {
    LentTable(nb::handle buffer, nb::object column_object)
        : lent(buffer), owner(std::move(column_object)), ids(nb::cast<LentColumn&>(owner).column), table(open()) {}
    LentTable(const LentTable&) = delete;
    LentTable& operator=(const LentTable&) = delete;

    IdTable open() const {
        if (const char* problem = IdTable::problem(lent.bytes(), ids)) throw nb::value_error(problem);
        return IdTable(lent.bytes(), ids);
    }

    Lent lent;
    nb::object owner;
    const IdColumn& ids;
    IdTable table;
};

using Positions = nb::ndarray<nb::numpy, std::int64_t, nb::ndim<1>>;
using PositionsIn = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

Positions new_positions(std::size_t count) {
    auto* values = new std::int64_t[count];
    const nb::capsule owner(values, [](void* data) noexcept { delete[] static_cast<std::int64_t*>(data); });
    return Positions(values, {count}, owner);
}

nb::object build(const LentColumn& ids, std::uint64_t seed) {
    const std::size_t size = nearrow::id_table_bytes(ids.column.size());
    nb::object out = nb::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
    if (!out.is_valid()) throw nb::python_error();
    // Nobody else has seen these bytes yet, so they may still be written.
    auto* data = reinterpret_cast<std::byte*>(PyBytes_AsString(out.ptr()));
    std::optional<IdBuildFailure> failure;
    {
        const nb::gil_scoped_release release;
        std::memset(data, 0, size);
        failure = nearrow::id_table_build(ids.column, seed, {data, size});
    }
    if (!failure) return out;
    return nb::make_tuple(failure->position, failure->earlier);
}

constexpr const char* bucket_damaged = "bucket checksum mismatch";

Positions find_all(const LentTable& table, const LentColumn& needles) {
    if (needles.column.kind() != table.ids.kind()) throw nb::type_error("ids of another kind");
    Positions out = new_positions(needles.column.size());
    bool whole = true;
    {
        const nb::gil_scoped_release release;
        whole = table.table.find_all(needles.column, {out.data(), out.size()});
    }
    if (!whole) throw nb::value_error(bucket_damaged);
    return out;
}

std::int64_t found(std::int64_t position) {
    if (position == IdTable::damaged) throw nb::value_error(bucket_damaged);
    return position;
}

std::int64_t find_string(const LentTable& table, std::string_view id) {
    return table.ids.kind() == IdKind::string ? found(table.table.find(id)) : IdTable::missing;
}

std::int64_t find_int64(const LentTable& table, std::int64_t id) {
    if (table.ids.kind() != IdKind::int64) return IdTable::missing;
    return found(table.table.find({reinterpret_cast<const char*>(&id), sizeof id}));
}

std::string_view id_at(const IdColumn& column, std::int64_t position) {
    if (position < 0 || static_cast<std::size_t>(position) >= column.size()) {
        const std::string where = std::to_string(position);
        throw nb::index_error(("position " + where + " is outside the column").c_str());
    }
    const auto id = column.bytes(static_cast<std::size_t>(position));
    if (!id) throw nb::value_error(("no id at position " + std::to_string(position)).c_str());
    return *id;
}

nb::list gather_strings(const LentColumn& ids, const PositionsIn& positions) {
    if (ids.column.kind() != IdKind::string) throw nb::type_error("the ids are not strings");
    nb::list out;
    for (std::size_t i = 0; i < positions.size(); ++i) {
        const std::string_view id = id_at(ids.column, positions.data()[i]);
        const nb::object text = nb::steal(PyUnicode_DecodeUTF8(id.data(), static_cast<Py_ssize_t>(id.size()), nullptr));
        if (!text.is_valid()) throw nb::python_error();
        out.append(text);
    }
    return out;
}

Positions gather_int64(const LentColumn& ids, const PositionsIn& positions) {
    if (ids.column.kind() != IdKind::int64) throw nb::type_error("the ids are not int64");
    Positions out = new_positions(positions.size());
    for (std::size_t i = 0; i < positions.size(); ++i)
        std::memcpy(out.data() + i, id_at(ids.column, positions.data()[i]).data(), sizeof(std::int64_t));
    return out;
}

using FloatsIn = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void check_text(std::string_view id) {
    if (std::none_of(id.begin(), id.end(), [](char letter) { return static_cast<signed char>(letter) < 0; })) return;
    const nb::object text = nb::steal(PyUnicode_DecodeUTF8(id.data(), static_cast<Py_ssize_t>(id.size()), nullptr));
    if (!text.is_valid()) throw nb::python_error();
}

// Short: it takes less time than to let go of the GIL would.
nb::object pack_hits(const LentColumn& ids, const PositionsIn& positions, const FloatsIn& distances,
                     std::uint64_t row_number) {
    if (positions.size() != distances.size()) throw nb::value_error("as many distances as positions");
    const IdKind kind = ids.column.kind();
    std::vector<std::string_view> found(positions.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
        found[i] = id_at(ids.column, positions.data()[i]);
        if (kind == IdKind::string) check_text(found[i]);
    }
    const std::size_t size = nearrow::packed_hits_bytes(kind, found);
    nb::object out = nb::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
    if (!out.is_valid()) throw nb::python_error();
    nearrow::pack_hits(kind, found, distances.data(), row_number, PyBytes_AsString(out.ptr()));
    return out;
}

std::pair<std::size_t, std::size_t> misplaced(const LentTable& table) {
    const nb::gil_scoped_release release;
    return table.table.misplaced();
}

}  // namespace

void bind_id_table(nb::module_& module) {
    nb::class_<LentColumn>(module, "IdColumn")
        .def(nb::init<bool, bool, const nb::list&>(), nb::arg("strings"), nb::arg("wide_offsets"), nb::arg("chunks"))
        .def("__len__", [](const LentColumn& self) { return self.column.size(); })
        .def("gather_strings", &gather_strings, nb::arg("positions"))
        .def("gather_int64", &gather_int64, nb::arg("positions"))
        .def("pack_hits", &pack_hits, nb::arg("positions"), nb::arg("distances"), nb::arg("row_number"));
    nb::class_<LentTable>(module, "IdTable")
        .def(nb::init<nb::handle, nb::object>(), nb::arg("buffer"), nb::arg("ids"))
        .def("find_all", &find_all, nb::arg("needles"))
        .def("find_string", &find_string, nb::arg("id"))
        .def("find_int64", &find_int64, nb::arg("id"))
        .def("misplaced", &misplaced);
    module.def("id_table_build", &build, nb::arg("ids"), nb::arg("seed") = 0);
    module.def(
        "id_hash",
        [](const nb::bytes& id, std::uint64_t seed) { return nearrow::hash_bytes({id.c_str(), id.size()}, seed); },
        nb::arg("id"), nb::arg("seed") = 0);
}
