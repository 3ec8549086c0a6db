#include "openai/form_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "dialect/splices.h"
#include "dialect/usage_reader.h"
#include "openai/batch_lines.h"
#include "openai/call_reader.h"
#include "openai/sound.h"
#include "openai/stored_state.h"
#include "wire/folded_name.h"
#include "wire/multipart.h"

namespace sluice::openai {
namespace {

using dialect::CallBody;
using wire::FormPart;

Error wrong(const char* what) noexcept { return client_error(ErrorKind::kBadRequest, what); }

enum class Field : std::uint8_t { kModel, kStream, kResponseFormat, kPrompt, kFile, kChoices, kPurpose, kKept };

struct FieldRow {
  Field field;
  std::string_view name;
  std::uint16_t apis;  // that read it
  const char* twice;
  const char* miscased;
};
constexpr std::uint16_t kHearing = api_bit(Api::kTranscription);
constexpr std::uint16_t kImages = api_bit(Api::kImage);
constexpr std::uint16_t kFiles = api_bit(Api::kFile);
#define SLUICE_FIELD(field, name, apis)                                                                       \
  FieldRow {                                                                                                  \
    field, name, apis, "The part '" name "' occurs twice in the form; give it once.",                         \
        "The name of a part differs from '" name "' in case alone; names are case-sensitive, use '" name "'." \
  }
constexpr std::array kFields{
    SLUICE_FIELD(Field::kModel, "model", kHearing | kImages),
    SLUICE_FIELD(Field::kStream, "stream", kHearing | kImages),
    SLUICE_FIELD(Field::kPrompt, "prompt", kHearing | kImages),
    SLUICE_FIELD(Field::kResponseFormat, "response_format", kHearing),
    SLUICE_FIELD(Field::kFile, "file", kHearing),
    SLUICE_FIELD(Field::kChoices, "n", kImages),
    SLUICE_FIELD(Field::kPurpose, "purpose", kFiles),
    SLUICE_FIELD(Field::kKept, "file", kFiles),
};
#undef SLUICE_FIELD

// One walk over one form.
class FormWalk final {
 public:
  FormWalk(Api api, std::string_view body) noexcept : api_(api), body_(body) {}

  Result<CallBody> run(std::string_view content_type) {
    if (api_ == Api::kFile) call_.upload = std::make_unique<dialect::Upload>();
    const Result<std::string_view> boundary = wire::form_boundary(content_type);
    if (!boundary) return boundary.error();
    wire::FormReader reader(body_, *boundary);
    for (FormPart part;;) {
      const Result<wire::FormReader::Found> found = reader.next(part);
      if (!found) return found.error();
      if (*found == wire::FormReader::Found::kEnd) break;
      SLUICE_TRY(read_part(part));
    }
    if (api_ == Api::kFile) return take_upload();
    if (!call_.model_member.present()) call_.own[kFormBegin] = {0, boundary->size() + 2};  // the path may name it
    expect();
    return std::move(call_);
  }

 private:
  Status read_part(const FormPart& part) {
    for (std::size_t i = 0; i < kFields.size(); ++i) {
      const FieldRow& row = kFields[i];
      if ((row.apis & api_bit(api_)) == 0 || !wire::equals_folded(part.name, row.name)) continue;
      const std::uint32_t bit = 1U << i;
      if ((seen_ & bit) != 0) return wrong(row.twice);
      if (part.name != row.name) return wrong(row.miscased);
      seen_ |= bit;
      return read_field(row.field, part);
    }
    if (part.name.find("file_id") != std::string_view::npos)
      return wrong(
          "A part names a file which the model server stores and this gateway cannot keep apart by tenant; send "
          "the file itself.");
    return ok();
  }

  Status read_field(Field field, const FormPart& part) {
    switch (field) {
      case Field::kModel:
        return read_model(part);
      case Field::kStream:
        return read_flag(part);
      case Field::kResponseFormat:
        return read_format(part);
      case Field::kPrompt:
        text_bytes_ += part.data.size();
        break;
      case Field::kFile:
        call_.sound_seconds = sound_seconds(part.data);
        call_.most_seconds = most_sound_seconds(part.data.size());
        break;
      case Field::kChoices:
        return read_choices(part);
      case Field::kPurpose:
        return read_purpose(part);
      case Field::kKept:
        return read_kept(part);
    }
    return ok();
  }

  Status read_purpose(const FormPart& part) {
    constexpr std::size_t kMostBytes = 64;
    const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || c == '_' || c == '-'; };
    if (part.file || part.data.empty() || part.data.size() > kMostBytes || !std::ranges::all_of(part.data, is_plain))
      return wrong("The part 'purpose' must be a word, such as 'batch' or 'user_data'.");
    call_.upload->purpose = part.data;
    return ok();
  }

  Status read_kept(const FormPart& part) {
    if (!part.file) return wrong("The part 'file' must be a file, with a name.");
    const dialect::Member data = member_of(part.data), length = member_of(part.length);
    call_.upload->file_offset = data.offset;
    call_.upload->file_bytes = data.length;
    if (part.length.empty()) return ok();
    call_.upload->length_offset = length.offset;
    call_.upload->length_bytes = length.length;
    return ok();
  }

  // What is kept is found by its id later. The parts may come in any order, so that the lines are read at the end.
  Result<CallBody> take_upload() {
    dialect::Upload& upload = *call_.upload;
    if (upload.purpose.empty()) return wrong("The form has no part 'purpose'; say what the file is for.");
    if (upload.file_offset == 0) return wrong("The form has no part 'file'.");
    call_.stored.keep = true;
    call_.stored.kept = Kept::kFile;
    if (upload.purpose != "batch") return std::move(call_);
    wire::Parser parser;
    call_.model = read_batch(body_.substr(upload.file_offset, upload.file_bytes), upload, parser);
    if (upload.lines == 0 && upload.wrong_line == 0)
      return wrong("The file of a batch has no lines; it must have calls.");
    return std::move(call_);
  }

  Status read_choices(const FormPart& part) {
    constexpr std::uint64_t kMost = 128;
    const char* const end = part.data.data() + part.data.size();
    const auto [behind, error] = std::from_chars(part.data.data(), end, call_.choices);
    if (part.file || part.data.empty() || error != std::errc() || behind != end || call_.choices < 1 ||
        call_.choices > kMost)
      return wrong("The part 'n' must be a whole number from 1 to 128.");
    return ok();
  }

  Status read_model(const FormPart& part) {
    constexpr std::size_t kMostBytes = 256;
    const std::string_view name = part.data;
    if (name.empty() || name.size() > kMostBytes || part.file || !simdjson::validate_utf8(name.data(), name.size()))
      return wrong("The part 'model' must be a text of 1 to 256 bytes.");
    call_.model.assign(name);
    call_.model_member = member_of(name);
    if (!part.length.empty()) call_.own[kModelPartLength] = member_of(part.length);
    return ok();
  }

  // As the readers of model servers take it.
  Status read_flag(const FormPart& part) {
    constexpr std::string_view kYes[] = {"true", "1"};
    constexpr std::string_view kNo[] = {"false", "0"};
    const auto is = [&](std::string_view word) { return same_ignoring_case(part.data, word); };
    call_.stream = std::ranges::any_of(kYes, is);
    if (part.file || (!call_.stream && std::ranges::none_of(kNo, is)))
      return wrong("The part 'stream' must be 'true' or 'false'.");
    return ok();
  }

  Status read_format(const FormPart& part) {
    if (part.file) return wrong("The part 'response_format' must be a text.");
    const bool object = part.data.empty() || part.data.ends_with("json");
    call_.answer = object ? dialect::AnswerForm::kObject : dialect::AnswerForm::kText;
    return ok();
  }

  // As many tokens of text as of sound: nobody speaks so fast.
  void expect() noexcept {
    const std::uint64_t heard = call_.sound_seconds * dialect::kTokensPerSecond;
    call_.prompt_estimate = heard + (text_bytes_ + 3) / 4;
    call_.output_estimate = api_ == Api::kImage ? kTokensPerImage : std::max<std::uint64_t>(heard, 1);
  }

  [[nodiscard]] dialect::Member member_of(std::string_view text) const noexcept {
    return {static_cast<std::size_t>(text.data() - body_.data()), text.size()};
  }

  Api api_;
  std::string_view body_;
  std::uint32_t seen_ = 0;
  std::uint64_t text_bytes_ = 0;
  CallBody call_;
};

// In place of the model's data, or as the form's first part.
void append_model(const CallBody& call, std::string_view body, std::string_view model, WipedString& into) {
  if (call.model_member.present()) {
    into += model;
    return;
  }
  into += body.substr(0, call.own[kFormBegin].length);
  into += "\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n";
  into += model;
  into += "\r\n";
}

}  // namespace

Result<CallBody> read_form(const Endpoint& endpoint, std::string_view content_type, std::string_view body) noexcept {
  return FormWalk(api_of(endpoint), body).run(content_type);
}

void edit_form(const CallBody& call, std::string_view body, const dialect::Edits& edits, dialect::EditedBody& into) {
  into.scratch.clear();
  dialect::Splices splices(into.scratch);
  if (!edits.model.empty()) {
    append_model(call, body, edits.model, into.scratch);
    splices.add(call.model_member, 0);
    if (call.own[kModelPartLength].present()) {
      const std::size_t begin = into.scratch.size();
      splices.append_number(edits.model.size());
      splices.add(call.own[kModelPartLength], begin);
    }
  }
  splices.write(body, into);
}

Status append_edited_upload(Buffer& out, const CallBody& call, std::string_view body, const dialect::LineEdits& edits) {
  const dialect::Upload& upload = *call.upload;
  const std::string_view lines = body.substr(upload.file_offset, upload.file_bytes);
  wire::Parser parser;
  if (upload.length_bytes == 0) {
    out.append(body.substr(0, upload.file_offset));
    SLUICE_TRY(append_edited_batch(out, lines, edits, parser));
  } else {  // its length comes before it
    Buffer file;
    SLUICE_TRY(append_edited_batch(file, lines, edits, parser));
    const std::size_t behind = upload.length_offset + upload.length_bytes;
    out.append(body.substr(0, upload.length_offset));
    out.append(std::to_string(file.size()));
    out.append(body.substr(behind, upload.file_offset - behind));
    out.append(file.view());
  }
  out.append(body.substr(upload.file_offset + upload.file_bytes));
  return ok();
}

}  // namespace sluice::openai
