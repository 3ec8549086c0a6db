#include "wire/body_decoder.h"

// Its functions that take an allocator are promised to those alone who link the library statically, as we do.
#define ZSTD_STATIC_LINKING_ONLY
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/text.h"

namespace sluice::wire {
namespace {

constexpr std::size_t kStepBytes = 16 * 1024;
// Behind so much of a body its block has room for all that it may be: pages that nothing is written to cost nothing, and
// another block for each step would be a copy and a wipe.
constexpr std::size_t kGrownInStepsBytes = 1u << 20;
constexpr std::size_t kBehindBytes = 256;  // who reads the body looks a little beyond it
constexpr int kWindowLog = 23;             // 8 MiB, the most that the coding "zstd" may ask for (RFC 9659)

constexpr Error kDamaged = client_error(
    ErrorKind::kBadRequest, "The compressed request body is damaged: it is not what Content-Encoding says.");
constexpr Error kEndsEarly =
    client_error(ErrorKind::kBadRequest, "The compressed request body ends before its data does; send all of it.");
constexpr Error kBytesBehind = client_error(
    ErrorKind::kBadRequest,
    "What follows the first gzip member or zstd frame of the compressed request body is damaged, or is none.");
constexpr Error kManyMembers = client_error(
    ErrorKind::kBadRequest,
    "The compressed request body has too many gzip members or zstd frames; the bound is 4096. Compress it as one.");
constexpr std::size_t kMostMembers = 4096;  // an empty one costs time and gives nothing that a limit could count
constexpr Error kWideWindow =
    client_error(ErrorKind::kBadRequest,
                 "The request body was compressed with a window of more than 8 MiB; compress it at level 19 or below.");
constexpr Error kTooLarge = client_error(
    ErrorKind::kTooLarge, "The request body is larger than this gateway takes once it is decompressed. Send less.");

}  // namespace

std::optional<Coding> coding_of(std::string_view content_encoding) noexcept {
  const std::string_view name = trimmed(content_encoding);
  if (same_ignoring_case(name, "gzip") || same_ignoring_case(name, "x-gzip")) return Coding::kGzip;
  if (same_ignoring_case(name, "zstd")) return Coding::kZstd;
  return std::nullopt;
}

// What a library keeps: counted, and wiped, for its windows hold what was decoded.
class BodyDecoder::Memory final {
 public:
  explicit Memory(HeldBytes* held) noexcept : holding_(held) {}

  // Null: there is none.
  void* take(std::size_t size_bytes) noexcept {
    if (!holding_.set(used_bytes_ + size_bytes)) {
      refused_ = true;
      return nullptr;
    }
    auto* const block = static_cast<Head*>(std::malloc(sizeof(Head) + size_bytes));
    if (block == nullptr) return nullptr;
    block->size_bytes = size_bytes;
    used_bytes_ += size_bytes;
    return block + 1;
  }
  void give(void* memory) noexcept {
    if (memory == nullptr) return;
    Head* const block = static_cast<Head*>(memory) - 1;
    used_bytes_ -= block->size_bytes;
    (void)holding_.set(used_bytes_);
    wipe(block, sizeof(Head) + block->size_bytes);
    std::free(block);
  }
  [[nodiscard]] bool refused() const noexcept { return refused_; }

 private:
  struct alignas(std::max_align_t) Head {
    std::size_t size_bytes;
  };
  Holding holding_;
  std::size_t used_bytes_ = 0;
  bool refused_ = false;
};

// One library's stream.
class BodyDecoder::Codec {
 public:
  virtual ~Codec() = default;
  enum class Now : std::uint8_t { kGoesOn, kEnded, kDamaged, kWideWindow, kNoMemory };
  // Takes from the front of `in`, fills the front of `out`, whose rest remains.
  virtual Now decode(std::string_view& in, std::span<char>& out) noexcept = 0;
  // Makes ready for the next member or frame.
  virtual void begin_again() noexcept {}
};

class BodyDecoder::Gzip final : public Codec {
 public:
  explicit Gzip(Memory& memory) noexcept {
    stream_.zalloc = [](void* from, unsigned count, unsigned size) -> void* {
      return static_cast<Memory*>(from)->take(std::size_t{count} * size);
    };
    stream_.zfree = [](void* from, void* block) { static_cast<Memory*>(from)->give(block); };
    stream_.opaque = &memory;
    constexpr int kGzipAlone = 16;
    begun_ = inflateInit2(&stream_, MAX_WBITS + kGzipAlone);
  }
  ~Gzip() override {
    if (begun_ == Z_OK) (void)inflateEnd(&stream_);
  }

  Now decode(std::string_view& in, std::span<char>& out) noexcept override {
    if (begun_ != Z_OK) return Now::kNoMemory;
    constexpr std::size_t kMostIn = 1u << 30;  // what fits its counter
    const auto given = static_cast<unsigned>(std::min(in.size(), kMostIn));
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = given;
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<unsigned>(out.size());
    const int code = inflate(&stream_, Z_NO_FLUSH);
    in.remove_prefix(given - stream_.avail_in);
    out = out.last(stream_.avail_out);
    switch (code) {
      case Z_OK:
      case Z_BUF_ERROR:  // it can go on with more
        return Now::kGoesOn;
      case Z_STREAM_END:
        return Now::kEnded;
      default:
        return code == Z_MEM_ERROR ? Now::kNoMemory : Now::kDamaged;
    }
  }

  void begin_again() noexcept override { begun_ = inflateReset(&stream_); }

 private:
  z_stream stream_{};
  int begun_;
};

class BodyDecoder::Zstd final : public Codec {
 public:
  explicit Zstd(Memory& memory) noexcept
      : context_(ZSTD_createDCtx_advanced(
            {.customAlloc = [](void* from, std::size_t size) { return static_cast<Memory*>(from)->take(size); },
             .customFree = [](void* from, void* block) { static_cast<Memory*>(from)->give(block); },
             .opaque = &memory})) {
    if (context_ != nullptr) (void)ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kWindowLog);
  }
  ~Zstd() override { (void)ZSTD_freeDCtx(context_); }

  Now decode(std::string_view& in, std::span<char>& out) noexcept override {
    if (context_ == nullptr) return Now::kNoMemory;
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer into{out.data(), out.size(), 0};
    const std::size_t code = ZSTD_decompressStream(context_, &into, &from);
    in.remove_prefix(from.pos);
    out = out.subspan(into.pos);
    if (code == 0) return Now::kEnded;
    if (ZSTD_isError(code) == 0) return Now::kGoesOn;
    switch (ZSTD_getErrorCode(code)) {
      case ZSTD_error_frameParameter_windowTooLarge:
        return Now::kWideWindow;
      case ZSTD_error_memory_allocation:
        return Now::kNoMemory;
      default:
        return Now::kDamaged;
    }
  }

 private:
  ZSTD_DCtx* context_;
};

BodyDecoder::BodyDecoder(Coding coding, std::string_view in, std::size_t limit_bytes, http::Incoming::Reserve& reserve,
                         HeldBytes* held)
    : memory_(std::make_unique<Memory>(held)), in_(in), limit_bytes_(limit_bytes), reserve_(reserve) {
  if (coding == Coding::kGzip)
    codec_ = std::make_unique<Gzip>(*memory_);
  else
    codec_ = std::make_unique<Zstd>(*memory_);
}

BodyDecoder::~BodyDecoder() = default;

// Where the next bytes go: one beyond the limit, so that what passes it is seen. Empty: nothing more may be held.
std::span<char> BodyDecoder::room(Buffer& out) noexcept {
  const std::size_t left = limit_bytes_ + 1 - out.size();
  if (granted_ == 0) {
    const std::size_t step = std::min(left, std::max(kStepBytes, std::min(out.size(), kPieceBytes)));
    if (!reserve_.grow(step)) return {};
    granted_ = step;
  }
  const std::size_t wanted = std::min(granted_, left);
  return out.prepare(out.size() < kGrownInStepsBytes ? wanted : left + kBehindBytes).first(wanted);
}

Result<BodyDecoder::Step> BodyDecoder::decode(Buffer& out) noexcept {
  const std::size_t begin = out.size();
  while (out.size() - begin < kPieceBytes) {
    const std::span<char> space = room(out);
    if (space.empty()) return kHoldsTooMuch;
    std::span<char> rest = space;
    const std::size_t in_before = in_.size();
    const Codec::Now now = codec_->decode(in_, rest);
    const std::size_t written = space.size() - rest.size();
    out.commit(written);
    granted_ -= written;
    if (out.size() > limit_bytes_) return kTooLarge;
    switch (now) {
      case Codec::Now::kEnded:
        if (in_.empty()) return Step::kDone;
        if (++members_ == kMostMembers) return kManyMembers;
        codec_->begin_again();
        break;
      case Codec::Now::kDamaged:
        return members_ == 0 ? kDamaged : kBytesBehind;
      case Codec::Now::kWideWindow:
        return kWideWindow;
      case Codec::Now::kNoMemory:
        return kHoldsTooMuch;
      case Codec::Now::kGoesOn:
        if (written == 0 && in_.size() == in_before) return kEndsEarly;
    }
  }
  return Step::kMore;
}

}  // namespace sluice::wire
