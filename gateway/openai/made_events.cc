// Streams of what is made otherwise than word by word: sound, what was heard, images. Each event has a type, and passes as
// it stands; the last one says what was used.
#include <algorithm>
#include <array>

#include "openai/stream_filter.h"

namespace sluice::openai {
namespace {

// The event that ends one thing that was made.
struct MadeEvent {
  std::string_view type;
  bool image;
};
constexpr std::array kMadeEvents{
    MadeEvent{"speech.audio.done", false},
    MadeEvent{"transcript.text.done", false},
    MadeEvent{"image_generation.completed", true},
    MadeEvent{"image_edit.completed", true},
};

}  // namespace

void StreamProgress::take_made_event(std::string_view name, const Chunk& chunk, Buffer& out) {
  note_head(chunk);
  const std::string_view type = wire::is_string(chunk.type) ? wire::unquoted(chunk.type) : name;
  if (type == "transcript.text.delta") {
    DeltaText text;
    add_text(wire::skim_find(chunk.text, "delta"), text);
    note_text(text.bytes);
  } else if (chunk.has_choices() == Choices::kSome) {  // vLLM writes what was heard as chats do
    note_text(choices.read(chunk.choices).text.bytes);
  }
  (void)note_usage(dialect::read_usage(chunk.usage.member.value, dialect::Tokens::kMayLack), Told::kAlone);
  if (chunk.error.present()) {
    (void)pass_edited(name, chunk, false, out, nullptr);
  } else {
    pass(name, chunk.text, out);
  }
  const auto made_event = std::ranges::find(kMadeEvents, type, &MadeEvent::type);
  if (made_event == kMadeEvents.end()) return;
  if (made_event->image) ++images;
  if (++made < options.choices) return;
  terminal_seen = true;
  state = StreamState::kDone;
}

}  // namespace sluice::openai
