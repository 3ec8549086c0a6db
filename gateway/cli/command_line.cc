#include "cli/command_line.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string_view>

#include "config/reader.h"
#include "config/text.h"

namespace sluice::cli {
namespace {

using config::cat;

constexpr std::size_t kMostGuesses = 3;

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

const CLI::App* find_command(const CLI::App& app, const std::string& name) {
  for (const CLI::App* one : commands_of(app))
    if (one->get_name() == name) return one;
  return nullptr;
}

// "key create", of the commands on the way to it.
std::string joined(const std::string& path, const std::string& name) { return path.empty() ? name : path + " " + name; }

void find_everywhere(const CLI::App& app, const std::string& path, const std::string& name,
                     std::vector<std::string>& into) {
  for (const CLI::App* one : commands_of(app)) {
    const std::string here = joined(path, one->get_name());
    if (one->get_name() == name) into.push_back(here);
    find_everywhere(*one, here, name, into);
  }
}

std::vector<std::string> long_options_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string nearest_of(const std::string& name, const std::vector<std::string>& known) {
  return std::string(config::nearest(name, std::vector<std::string_view>(known.begin(), known.end())));
}

// Where the words lead as far as they are commands.
struct Place {
  const CLI::App* app;
  std::string path;       // "key"
  std::size_t words = 0;  // that many of the words are it
};

Place follow(const CLI::App& app, const std::vector<std::string>& words) {
  Place place{&app, "", 0};
  while (place.words < words.size()) {
    const CLI::App* next = find_command(*place.app, words[place.words]);
    if (next == nullptr) break;
    place = {next, joined(place.path, next->get_name()), place.words + 1};
  }
  return place;
}

// What may have been meant by `word`, which is no command of `place`. `next`: the word behind it.
std::vector<std::string> guesses(const CLI::App& app, const Place& place, const std::string& word,
                                 const std::string& next) {
  // "create key" for "key create"
  if (const CLI::App* group = find_command(app, next); group != nullptr && find_command(*group, word) != nullptr)
    return {next + " " + word};
  std::vector<std::string> names;
  for (const CLI::App* one : commands_of(*place.app)) names.push_back(one->get_name());
  std::vector<std::string> same;
  find_everywhere(app, "", word, same);
  const std::string near = nearest_of(word, names);
  if (!near.empty() && (same.empty() || !place.path.empty())) return {joined(place.path, near)};
  const std::vector<std::string> options = long_options_of(*place.app);
  if (std::ranges::find(options, "--" + word) != options.end()) return {joined(place.path, "--" + word)};
  if (same.size() > kMostGuesses) same.resize(kMostGuesses);
  return same;
}

std::string did_you_mean(const std::vector<std::string>& all) {
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i)
    text += cat(i == 0 ? "; did you mean `" : i + 1 == all.size() ? " or `" : ", `", all[i], "`");
  return text.empty() ? text : text + "?";
}

std::string see_help(const std::string& path) { return cat("; see: sluice help", path.empty() ? "" : " ", path); }

std::string unknown_option(const Place& place, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  const std::string near = nearest_of(name, long_options_of(*place.app));
  const std::string what =
      cat(place.path.empty() ? std::string("sluice") : "`" + place.path + "`", " has no option ", name);
  return near.empty() ? what + see_help(place.path) : cat(what, "; did you mean `", near, "`?");
}

std::string unknown_command(const CLI::App& app, const Place& place, const std::string& word, const std::string& next) {
  const std::string meant = did_you_mean(guesses(app, place, word, next));
  return cat("there is no command `", joined(place.path, word), "`", meant.empty() ? see_help(place.path) : meant);
}

// A group alone: `sluice key`.
std::string incomplete(const Place& place) {
  std::vector<std::string> names;
  for (const CLI::App* one : commands_of(*place.app)) names.push_back(joined(place.path, one->get_name()));
  return cat("say what to do: ", config::join(names, ", "), see_help(place.path));
}

bool is_option(const std::string& word) { return word.size() > 1 && word.front() == '-'; }

int misused(const std::string& message) {
  std::fprintf(stderr, "sluice: %s\n", message.c_str());
  return kMisuse;
}

std::string explain(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words) {
  const Place place = follow(app, words);
  const bool unfinished = !commands_of(*place.app).empty();
  // Also where something required is missing, since it may be there under a wrong name.
  const bool strange = !place.app->remaining(true).empty();
  if (strange || unfinished) return explain_unknown(app, words);
  return std::string(error.what()) + see_help(place.path);
}

// What `help WORDS…` shows: the same as `WORDS… --help`.
int show_help(CLI::App& app, const std::vector<std::string>& words) {
  const Place place = follow(app, words);
  if (place.words < words.size()) return misused(explain_unknown(app, words));
  const std::size_t last = place.path.rfind(' ');
  const std::string before = last == std::string::npos ? "" : " " + place.path.substr(0, last);
  const std::string name = place.app == &app ? "" : app.get_name() + before;
  std::fputs(place.app->get_formatter()
                 ->make_help(place.app, joined(name, place.app->get_name()), CLI::AppFormatMode::Normal)
                 .c_str(),
             stdout);
  return 0;
}

}  // namespace

std::string explain_unknown(const CLI::App& app, const std::vector<std::string>& words) {
  const Place place = follow(app, words);
  const bool group = !commands_of(*place.app).empty();
  if (place.words == words.size()) return group ? incomplete(place) : "wrong arguments" + see_help(place.path);
  const std::string& word = words[place.words];
  if (group && !is_option(word))
    return unknown_command(app, place, word, place.words + 1 < words.size() ? words[place.words + 1] : "");
  // The first option that the command does not have; with a value of its own or without.
  const std::vector<std::string> left = place.app->remaining(true);
  const auto option = std::ranges::find_if(left, is_option);
  if (option != left.end()) return unknown_option(place, *option);
  if (group) return incomplete(place);
  return cat("`", place.path, "` takes no argument ", left.empty() ? word : left.front(), see_help(place.path));
}

void add_help(CLI::App& app, int& exit_code) {
  CLI::App* help = app.add_subcommand("help", "Show how a command is used");
  const auto words = std::make_shared<std::vector<std::string>>();  // shared: the callback outlives this function
  help->add_option("command", *words, "such as: key create");
  help->callback([&app, &exit_code, words] { exit_code = show_help(app, *words); });
}

int run(CLI::App& app, int argc, const char* const* argv, const int& exit_code) {
  try {
    app.parse(argc, argv);
    return exit_code;
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return misused(explain(app, error, std::vector<std::string>(argv + std::min(argc, 1), argv + argc)));
  }
}

}  // namespace sluice::cli
