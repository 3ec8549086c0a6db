#include "wire/multipart.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace sluice::wire {
namespace {

struct Part {
  std::string name, data;
  bool file = false;
  bool operator==(const Part&) const = default;
};

struct FormSeen {
  std::vector<Part> parts;
  std::string error;
};

FormSeen read(std::string_view body, std::string_view boundary = "B") {
  FormReader reader(body, boundary);
  FormSeen seen;
  for (FormPart part;;) {
    const Result<FormReader::Found> found = reader.next(part);
    if (!found) {
      seen.error = found.error().what;
      EXPECT_EQ(found.error().kind, ErrorKind::kBadRequest);
      return seen;
    }
    if (*found == FormReader::Found::kEnd) return seen;
    seen.parts.push_back({std::string(part.name), std::string(part.data), part.file});
  }
}

std::string part(std::string_view head, std::string_view data) {
  return "--B\r\n" + std::string(head) + "\r\n\r\n" + std::string(data) + "\r\n";
}
std::string field(std::string_view name, std::string_view data) {
  return part("Content-Disposition: form-data; name=\"" + std::string(name) + "\"", data);
}

const std::string kForm =
    part("Content-Disposition: form-data; name=\"file\"; filename=\"a b;c.wav\"\r\nContent-Type: audio/wav",
         std::string_view("\0\r\n--\r\n--A\r\n\xff", 14)) +
    field("model", "m") + field("empty", "") + "--B--\r\n";

TEST(FormReader, GivesEachPartAsItStands) {
  const FormSeen seen = read(kForm);
  EXPECT_EQ(seen.error, "");
  const std::vector<Part> right{
      {"file", std::string("\0\r\n--\r\n--A\r\n\xff", 14), true}, {"model", "m"}, {"empty", ""}};
  EXPECT_EQ(seen.parts, right);
  EXPECT_EQ(read(std::string_view(kForm).substr(0, kForm.size() - 2)).parts, right) << "without the last line end";
}

TEST(FormReader, NothingThatWasCutShortIsWhole) {
  for (std::size_t size = 0; size < kForm.size() - 2; ++size)
    EXPECT_NE(read(std::string_view(kForm).substr(0, size)).error, "") << size;
  EXPECT_NE(read(std::string_view(kForm).substr(0, kForm.size() - 1)).error, "") << "half of the last line end";
}

TEST(FormReader, TakesHeadsAsClientsWriteThem) {
  for (const char* head : {
           "content-disposition:form-data;name=model",
           "Content-Disposition: form-data; name=model; filename=a.wav; filename*=utf-8''a.wav",
           "CONTENT-TYPE: text/plain; charset=UTF-8\r\nContent-Disposition: Form-Data; NAME=\"model\"",
           "Content-Disposition: form-data; name=\"model\"\r\nContent-Length: 1\r\nContent-Transfer-Encoding: binary",
           "Content-Disposition: form-data; name=\"model\"; filename=\"C:\\a\\b.wav\"\r\nX-Other: \xC3\xA9",
       }) {
    const FormSeen seen = read(part(head, "m") + "--B--");
    ASSERT_EQ(seen.error, "") << head;
    EXPECT_EQ(seen.parts.at(0).name, "model") << head;
  }
}

// Each could be one form to us and another to the model server.
TEST(FormReader, RefusesWhatTwoReadersCouldTakeDifferently) {
  const std::string good = field("model", "m");
  const std::string cases[] = {
      "",
      "--B--x",
      "--B--\r\nx",
      "--B--\r\n\r\n",
      "\r\n" + good + "--B--",
      "preamble\r\n" + good + "--B--",
      " --B\r\n",
      "--B \r\n" + good.substr(5) + "--B--",
      "--B\n" + good.substr(5) + "--B--",
      "--C\r\n" + good.substr(5) + "--C--",
      good + "--B--" + good + "--B--",
      good + "--BB--",
      field("file", "a--Bb") + "--B--",
      field("file", "a\n--B\r\nx") + "--B--",
      field("file", "a\r--B\r\nx") + "--B--",
      field("file", "a\r\n--Bx\r\n") + "--B--",
      field("file", "--B") + "--B--",
      "--B\r\n\r\nm\r\n--B--",
      part("", "m") + "--B--",
      part("Content-Type: text/plain", "m") + "--B--",
      part("Content-Disposition: attachment; name=\"model\"", "m") + "--B--",
      part("Content-Disposition: form-data", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"\"", "m") + "--B--",
      part("Content-Disposition: form-data; name=", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\" x", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\";", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"; name=\"model\"", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"; name*=utf-8''model", "m") + "--B--",
      part("Content-Disposition: form-data; name*0=\"mo\"; name*1=\"del\"", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\\\"; name=\\\"model\"", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"mo\\del\"", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"; filename=\"x\\\"; y=\"", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"; filename=\"x\"; filename=\"y\"", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"", "m") +
          "--B--",
      part("Content-Disposition: form-data;\r\n name=\"a\"", "m") + "--B--",
      part("Content-Disposition : form-data; name=\"a\"", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"\nX: y", "m") + "--B--",
      part(std::string_view("Content-Disposition: form-data; name=\"a\0b\"", 41), "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"\r\nno colon", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: quoted-printable", "m") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64", "bQ==") + "--B--",
      part("Content-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain; charset=utf-16", "m") + "--B--",
  };
  for (const std::string& body : cases) EXPECT_NE(read(body).error, "") << body;
}

TEST(FormReader, HeadsAndPartsHaveBounds) {
  std::string many;
  for (std::size_t i = 0; i < FormReader::kMostParts; ++i) many += field("x", "y");
  EXPECT_EQ(read(many + "--B--").error, "");
  EXPECT_NE(read(many + field("x", "y") + "--B--").error.find("too many parts"), std::string::npos);
  const std::string endless = "--B\r\nX: " + std::string(10 << 20, 'x');
  EXPECT_NE(read(endless).error.find("too long"), std::string::npos);
}

// A boundary that nearly stands everywhere, 25 MB of it.
TEST(FormReader, TakesLinearTime) {
  const std::string boundary(kMostBoundaryBytes, '-');
  std::string data;
  while (data.size() < 25u << 20) data += std::string(kMostBoundaryBytes + 1, '-') + "x";
  const std::string body =
      "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n" + data + "\r\n--" + boundary + "--";
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(read(body, boundary).error, "");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
}

TEST(FormBoundary, IsReadAsEveryReaderReadsIt) {
  const std::pair<const char*, const char*> good[] = {
      {"multipart/form-data; boundary=abc", "abc"},
      {"Multipart/Form-Data;BOUNDARY=\"a b'()+_,-./:=?\"", "a b'()+_,-./:=?"},
      {"multipart/form-data; charset=utf-8; boundary=----WebKitFormBoundaryX", "----WebKitFormBoundaryX"},
      {"multipart/form-data; boundary=a=b; x=y", "a=b"},
  };
  for (const auto& [text, boundary] : good) {
    const Result<std::string_view> read = form_boundary(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(*read, boundary);
  }
  const std::string long_one = "multipart/form-data; boundary=" + std::string(71, 'b');
  for (const std::string_view text : std::initializer_list<std::string_view>{
           "", "application/json", "multipart/mixed; boundary=a", "multipart/form-data",
           "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"", "multipart/form-data; boundary=\"a",
           "multipart/form-data; boundary=\"a \"", "multipart/form-data; boundary=a; boundary=b",
           "multipart/form-data; boundary=a; Boundary*=utf-8''b", "multipart/form-data; boundary*0=a",
           "multipart/form-data; boundary=a\"b", "multipart/form-data; boundary=a b",
           "multipart/form-data; boundary=\"a\\\"b\"", "multipart/form-data; boundary=a; charset=utf-16",
           "multipart/form-data boundary=a", "multipart/form-data; boundary=a{", long_one})
    EXPECT_FALSE(form_boundary(text)) << text;
}

}  // namespace
}  // namespace sluice::wire
