// The calls of a batch, as the file has them that is uploaded for it (API reference: Batch, the request input object):
//
//   {"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m",…}} LF
//   {"custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{"model":"m",…}} LF
//
// Each body is read as that of a single call. Lines of white space alone are passed over.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "dialect/call_body.h"
#include "dialect/upload.h"
#include "dialect/usage_reader.h"
#include "wire/parser.h"

namespace sluice::openai {

// Adds to `upload` what the lines of `file` ask for in all; gives their model, which is one. Where a line cannot be taken
// (not of this form, another model or endpoint than the first, a value that a single call might not have, one that no
// batch can: a stream, something stored, a cache key, labels), upload.wrong_line says which.
// REQUIRES: simdjson::SIMDJSON_PADDING readable bytes behind `file`.
[[nodiscard]] WipedString read_batch(std::string_view file, dialect::Upload& upload, wire::Parser& parser);

// Appends the lines with each call edited. What is not edited goes as it stands. Error: a line cannot be read.
// REQUIRES: read_batch() took them; padding as there.
[[nodiscard]] Status append_edited_batch(Buffer& out, std::string_view file, const dialect::LineEdits& edits,
                                         wire::Parser& parser);

// What a line of the file that a batch has made says of its call's usage:
//   {"custom_id":"a","response":{"status_code":200,"body":{…,"usage":{…}}},"error":null}
// None: nothing. REQUIRES: padding as there.
[[nodiscard]] std::optional<dialect::UsageReading> told_in_batch(std::string_view line, wire::Parser& parser);

}  // namespace sluice::openai
