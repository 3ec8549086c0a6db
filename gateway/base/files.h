// Files that only their owner may read, and that are there whole or not at all.
//
// Functions give 0 or an errno; who calls them says in words what is to be done.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

// Gives `from` the name `to` unless there is such a file: EEXIST.
[[nodiscard]] int rename_to_new(const std::string& from, const std::string& to) noexcept;
// Puts `bytes` in the place of the file: written beside it with mode 0600, synced, renamed.
[[nodiscard]] int write_private_file(const std::string& path, std::string_view bytes) noexcept;
// An empty file with mode 0600 where none is: EEXIST.
[[nodiscard]] int make_private_file(const std::string& path) noexcept;
// A copy with mode 0600, where none is: EEXIST.
[[nodiscard]] int copy_to_private_file(const std::string& from, const std::string& to) noexcept;
// What the file holds. EFBIG: more than `most_bytes`.
[[nodiscard]] int read_whole_file(const std::string& path, std::size_t most_bytes, std::string& into);
// Makes the file's content outlast the machine. NOT of a store that this process has open: store/sqlite.h.
[[nodiscard]] int sync_file(const std::string& path) noexcept;
// Makes a name that was given in the folder of `path` outlast the machine.
[[nodiscard]] int sync_folder_of(const std::string& path) noexcept;

}  // namespace sluice
