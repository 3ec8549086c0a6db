// Reads what a call asks for out of a form: what is heard, images that are changed, and files that are to be kept.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "dialect/call_body.h"
#include "openai/endpoint.h"

namespace sluice::openai {

// CallBody::own of a form: the value of the Content-Length that the model's part may have; where there is no such part,
// the boundary that the form begins with.
inline constexpr std::size_t kModelPartLength = 0;
inline constexpr std::size_t kFormBegin = 1;

// Every part is looked at once. CallBody::model_member is the data of the model's part.
// Errors (all kBadRequest, static text): wire::FormReader's; a part that we read occurs twice, is a file, or holds what it
// may not; purpose and file missing; a part that refers to what the model server stores. What is wrong with a
// line of a batch stands in CallBody::upload.
// REQUIRES: of a file that is to be kept, simdjson::SIMDJSON_PADDING readable bytes behind `body`.
[[nodiscard]] Result<dialect::CallBody> read_form(const Endpoint& endpoint, std::string_view content_type,
                                                  std::string_view body) noexcept;

// Names the model as `edits` has it, in a part of its own where there is none; the rest of the form stays as it is.
// Lifetime: `body` and `into` outlive the use of the parts.
void edit_form(const dialect::CallBody& call, std::string_view body, const dialect::Edits& edits,
               dialect::EditedBody& into);

// Appends the form of a file for a batch, with its lines edited. Error: a line cannot be read; `out` is of no use then.
// REQUIRES: read_form() took them; padding as there.
[[nodiscard]] Status append_edited_upload(Buffer& out, const dialect::CallBody& call, std::string_view body,
                                          const dialect::LineEdits& edits);

}  // namespace sluice::openai
