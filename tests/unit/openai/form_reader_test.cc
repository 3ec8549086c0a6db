#include "openai/form_reader.h"

#include <gtest/gtest.h>

#include "openai/sound.h"

namespace sluice::openai {
namespace {

using dialect::AnswerForm;
using dialect::CallBody;

constexpr std::string_view kType = "multipart/form-data; boundary=\"b 1\"";

std::string form_part(std::string_view name, std::string_view data, std::string_view more = {}) {
  return "--b 1\r\nContent-Disposition: form-data; name=\"" + std::string(name) + "\"" + std::string(more) +
         "\r\n\r\n" + std::string(data) + "\r\n";
}
std::string form(std::initializer_list<std::string> parts) {
  std::string body;
  for (const std::string& part : parts) body += part;
  return body + "--b 1--\r\n";
}
const std::string kFile =
    form_part("file", std::string(16'001, '\0'), "; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg");
const std::string kModel = form_part("model", "whisper");

Result<CallBody> read_heard(const std::string& body, EndpointId id = EndpointId::kTranscriptions) {
  return read_form(endpoint_of(id), kType, body);
}

std::string renamed(const std::string& body, std::string_view model) {
  const Result<CallBody> call = read_heard(body);
  EXPECT_TRUE(call);
  dialect::EditedBody into;
  edit_form(*call, body, {.clamp_output_to = 5, .model = model}, into);
  std::string all;
  for (std::size_t i = 0; i < into.count; ++i) all += into.parts[i];
  return all;
}

TEST(FormOfACall, C28HasItsModelWhereverThePartStands) {
  for (const std::string& body :
       {form({kModel, kFile}), form({kFile, kModel}), form({form_part("x", "model"), kModel, kFile})}) {
    const Result<CallBody> call = read_heard(body);
    ASSERT_TRUE(call) << call.error().what;
    EXPECT_EQ(call->model, "whisper");
    EXPECT_FALSE(call->stream);
    EXPECT_EQ(call->answer, AnswerForm::kObject);
    EXPECT_EQ(call->sound_seconds, 3u) << "begun ones, at 8,000 bytes";
    EXPECT_EQ(call->prompt_estimate, 30u);
    EXPECT_EQ(call->output_estimate, 30u);
    EXPECT_EQ(renamed(body, ""), body) << "byte for byte";
    std::string other = body;
    other.replace(other.find("whisper"), 7, "org/large-v3");
    EXPECT_EQ(renamed(body, "org/large-v3"), other) << "but for the model's name";
  }
}

TEST(FormOfACall, APartsLengthFollowsItsModel) {
  const std::string body = form({form_part("model", "m", "\r\nContent-Length: 1"), kFile});
  EXPECT_EQ(renamed(body, "0123456789"), form({form_part("model", "0123456789", "\r\nContent-Length: 10"), kFile}));
}

TEST(FormOfACall, OneWithoutAModelIsGivenOne) {
  const Result<CallBody> call = read_heard(form({kFile}));
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->model, "");
  EXPECT_EQ(renamed(form({kFile}), "whisper"), form({kModel, kFile}));
  EXPECT_EQ(renamed(form({}), "whisper"), form({kModel}));
}

TEST(FormOfACall, SaysHowItWantsToBeAnswered) {
  const std::pair<const char*, AnswerForm> formats[] = {{"json", AnswerForm::kObject},
                                                        {"verbose_json", AnswerForm::kObject},
                                                        {"diarized_json", AnswerForm::kObject},
                                                        {"", AnswerForm::kObject},
                                                        {"text", AnswerForm::kText},
                                                        {"srt", AnswerForm::kText},
                                                        {"vtt", AnswerForm::kText},
                                                        {"tsv", AnswerForm::kText}};
  for (const auto& [format, answer] : formats) {
    const Result<CallBody> call = read_heard(form({kModel, form_part("response_format", format)}));
    ASSERT_TRUE(call);
    EXPECT_EQ(call->answer, answer) << format;
  }
  for (const char* yes : {"true", "True", "1"})
    EXPECT_TRUE(read_heard(form({kModel, form_part("stream", yes)}))->stream) << yes;
  for (const char* no : {"false", "False", "0"})
    EXPECT_FALSE(read_heard(form({kModel, form_part("stream", no)}))->stream) << no;
}

TEST(FormOfACall, RefusesWhatItCannotReadExactly) {
  const std::pair<std::string, const char*> cases[] = {
      {form({kModel, kModel}), "'model' occurs twice"},
      {form({kModel, kFile, form_part("model", "other")}), "'model' occurs twice"},
      {form({form_part("Model", "m")}), "case alone"},
      {form({kModel, form_part("MODEL", "m")}), "'model' occurs twice"},
      {form({form_part("model", "")}), "'model' must be"},
      {form({form_part("model", std::string(257, 'm'))}), "'model' must be"},
      {form({form_part("model", "\xff")}), "'model' must be"},
      {form({form_part("model", "m", "; filename=\"m\"")}), "'model' must be"},
      {form({kModel, form_part("stream", "yes please")}), "'stream' must be"},
      {form({kModel, form_part("stream", "true"), form_part("stream", "false")}), "'stream' occurs twice"},
      {form({kModel, kFile, kFile}), "'file' occurs twice"},
      {"{\"model\":\"m\"}", "begin with its boundary"},
  };
  for (const auto& [body, says] : cases) {
    const Result<CallBody> call = read_heard(body);
    ASSERT_FALSE(call) << says;
    EXPECT_EQ(call.error().kind, ErrorKind::kBadRequest);
    EXPECT_NE(std::string_view(call.error().what).find(says), std::string_view::npos) << call.error().what;
  }
  const Result<CallBody> call = read_form(endpoint_of(EndpointId::kTranscriptions), "application/json", form({kModel}));
  ASSERT_FALSE(call);
  EXPECT_NE(std::string_view(call.error().what).find("multipart/form-data"), std::string_view::npos);
}

TEST(FormOfACall, OfAnImageHasItsChoices) {
  const Result<CallBody> call = read_heard(form({kModel, form_part("n", "3"), form_part("prompt", "12345678"),
                                                 form_part("response_format", "url"), kFile, kFile}),
                                           EndpointId::kImageEdits);
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->choices, 3u);
  EXPECT_EQ(call->prompt_estimate, 2u);
  EXPECT_EQ(call->output_estimate, 4160u);
  EXPECT_EQ(call->answer, AnswerForm::kObject);
  for (const char* n : {"0", "129", "", "x", "1.5", "-1", "99999999999999999999"})
    EXPECT_FALSE(read_heard(form({kModel, form_part("n", n)}), EndpointId::kImageEdits)) << n;
  EXPECT_FALSE(read_heard(form({kModel, form_part("image[file_id]", "file-1")}), EndpointId::kImageEdits));
}

// One channel, 16,000 frames a second of two bytes, for 10 seconds; the rate in bytes lies.
std::string wave_file() {
  std::string wave = "RIFF....WAVEfmt ....";
  wave += std::string("\x01\0\x01\0", 4);
  wave += std::string("\x80\x3e\0\0", 4) + std::string("\0\0\0\0", 4);
  wave += std::string("\x02\0\x10\0", 4) + "data....";
  wave.resize(32'000 * 10, '\0');
  return wave;
}

TEST(Sound, AWavFileSaysHowLongItIs) {
  std::string wave = wave_file();
  EXPECT_EQ(sound_seconds(wave), 10u);
  wave.push_back('\0');
  EXPECT_EQ(sound_seconds(wave), 11u);
  wave.replace(20, 2, "\xFE\xFF", 2);
  wave.replace(44, 2, "\x01\0", 2);
  EXPECT_EQ(sound_seconds(wave), 11u) << "extensible, with plain samples";
  EXPECT_EQ(sound_seconds(std::string(80'000, 'x')), 10u);
  EXPECT_EQ(sound_seconds(""), 0u);
  EXPECT_EQ(sound_seconds("RIFF"), 1u);
}

TEST(Sound, AHeadThatCannotBeIsNotBelieved) {
  struct Wrong {
    std::size_t at;
    std::string bytes;
    const char* what;
  };
  const std::vector<Wrong> wrong{{20, std::string("\x11\0", 2), "ADPCM, whose frames are blocks"},
                                 {20, std::string("\xFE\xFF", 2), "extensible, with samples of no known format"},
                                 {24, std::string("\xFF\xFF\xFF\xFF", 4), "frames that no recording has"},
                                 {32, std::string("\xFF\xFF", 2), "a frame larger than its samples"},
                                 {22, std::string("\0\0", 2), "no channel"},
                                 {24, std::string("\0\0\0\0", 4), "no frame"}};
  for (const auto& [at, bytes, what] : wrong) {
    std::string wave = wave_file();
    wave.replace(at, bytes.size(), bytes);
    EXPECT_EQ(sound_seconds(wave), 40u) << what;
  }
  std::string wide = wave_file();  // 65,535 channels of 8 bits agree with a frame of as many bytes
  wide.replace(22, 2, "\xFF\xFF").replace(32, 4, std::string("\xFF\xFF\x08\0", 4));
  EXPECT_EQ(sound_seconds(wide), 40u);
}

}  // namespace
}  // namespace sluice::openai
