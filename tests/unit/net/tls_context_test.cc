// Whom the server's TLS lets in as what: ALPN, client certificates, tickets; and certificates of our own making.
#include "net/tls_context.h"

#include <gtest/gtest.h>

#include "net/certificates.h"
#include "net/stream.h"
#include "support/loop_runner.h"
#include "support/soon.h"
#include "support/tls_files.h"

namespace sluice::net {
namespace {

absl::Status reload(ServerTls& tls, const ServerTlsOptions& options) {
  auto replacement = tls.prepare(options);
  if (replacement.ok()) tls.install(*std::move(replacement));
  return replacement.status();
}

using std::chrono::hours;

using test::soon;

using SessionPtr = std::unique_ptr<SSL_SESSION, decltype([](SSL_SESSION* s) { SSL_SESSION_free(s); })>;

struct Shaken {
  bool client_ok = false;
  bool server_ok = false;
  std::string alpn;
  std::string suite;
  bool reused = false;
  std::string peer;  // common name of the client's certificate, as the server sees it
  SessionPtr session;
};

struct TlsContextTest : test::LoopTest {
  TlsContextTest() { tls = ServerTls::create(options()).value(); }

  ServerTlsOptions options() const {
    return {.certificate_file = files.certificate_file, .key_file = files.key_file, .tunnel_ca = files.ca.certificate};
  }
  std::shared_ptr<SSL_CTX> client(std::vector<std::string> alpn, bool with_certificate = false) const {
    ClientTlsOptions made{.ca_file = files.ca_file, .alpn = std::move(alpn)};
    if (with_certificate) {
      made.certificate_file = files.client_certificate_file;
      made.key_file = files.client_key_file;
    }
    auto context = create_client_tls(made).value();
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_app_data(context.get(), &got_session);
    SSL_CTX_sess_set_new_cb(context.get(), [](SSL* ssl, SSL_SESSION* session) {
      static_cast<SessionPtr*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->reset(session);
      return 1;
    });
    return context;
  }

  // A handshake, then one byte each way, so that tickets arrive and an alert for the certificate is seen.
  Shaken shake(SSL_CTX* client_context, SSL_SESSION* session = nullptr) {
    Shaken shaken;
    test::StreamPair pair = test::connected_pair(loop);
    got_session.reset();
    group.spawn(serve(*pair.server, tls->context().get(), shaken));
    run(dial(*pair.client, client_context, session, shaken));
    drain();
    shaken.session = std::move(got_session);
    return shaken;
  }
  static Task<void> serve(Stream& stream, SSL_CTX* context, Shaken& shaken) {
    const Status done = co_await stream.handshake_as_server(context, soon());
    shaken.server_ok = static_cast<bool>(done);
    if (done) {
      shaken.alpn = stream.alpn();
      if (stream.ssl() != nullptr) {
        if (const auto peer = peer_certificate(stream.ssl()); peer.ok()) shaken.peer = peer->common_name;
      }
      (void)co_await stream.write("x", soon());
    }
    stream.close();
  }
  static Task<void> dial(Stream& stream, SSL_CTX* context, SSL_SESSION* session, Shaken& shaken) {
    const Status done = co_await stream.handshake_as_client(context, "localhost", soon(), session);
    if (done) {
      shaken.suite = SSL_get_cipher_name(stream.ssl());
      shaken.reused = SSL_session_reused(stream.ssl()) != 0;
    }
    std::array<char, 8> byte;
    const Result<std::size_t> read = done ? co_await stream.read_some(byte, soon()) : Result<std::size_t>(Error{});
    shaken.client_ok = done && read && *read == 1;
    stream.close();
  }

  test::TlsFiles files;
  std::unique_ptr<ServerTls> tls;
  mutable SessionPtr got_session;
};

TEST_F(TlsContextTest, ChoosesTheProtocolAndRefusesOthers) {
  EXPECT_EQ(shake(client({"http/1.1"}).get()).alpn, "http/1.1");
  EXPECT_EQ(shake(client({"h3", "http/1.1"}).get()).alpn, "http/1.1");
  const Shaken silent = shake(client({}).get());
  EXPECT_TRUE(silent.client_ok);
  EXPECT_EQ(silent.alpn, "");
  const Shaken other = shake(client({"h3"}).get());
  EXPECT_FALSE(other.server_ok);
  EXPECT_FALSE(other.client_ok);
}

TEST_F(TlsContextTest, ATunnelNeedsACertificateOfOurCa) {
  const Shaken with = shake(client({"sluice-tunnel/1"}, true).get());
  EXPECT_TRUE(with.client_ok);
  EXPECT_EQ(with.alpn, "sluice-tunnel/1");
  EXPECT_EQ(with.peer, "agent-1");
  const Shaken without = shake(client({"sluice-tunnel/1"}).get());
  EXPECT_FALSE(without.server_ok);
  EXPECT_FALSE(without.client_ok);
  const Shaken mixed = shake(client({"http/1.1", "sluice-tunnel/1"}).get());
  EXPECT_FALSE(mixed.server_ok);

  const auto stranger = create_ca("another CA", hours(1)).value();
  const auto request = create_request("agent-1").value();
  files.put("client.pem", sign_client_request(stranger, request.request, "agent-1", hours(1)).value());
  files.put("client.key", request.key);
  EXPECT_FALSE(shake(client({"sluice-tunnel/1"}, true).get()).server_ok);
}

TEST_F(TlsContextTest, AnApiConnectionIsNotAskedForACertificate) {
  const Shaken shaken = shake(client({"http/1.1"}, true).get());
  EXPECT_TRUE(shaken.client_ok);
  EXPECT_EQ(shaken.peer, "");
}

TEST_F(TlsContextTest, AServerCertificateIsNoAgent) {
  const std::vector<std::string> names{"localhost"};
  const auto server = create_server_certificate(files.ca, names, hours(1)).value();
  files.put("client.pem", server.certificate);
  files.put("client.key", server.key);
  EXPECT_FALSE(shake(client({"sluice-tunnel/1"}, true).get()).server_ok);
}

TEST_F(TlsContextTest, TicketsResumeAlsoAfterAReload) {
  const auto context = client({"http/1.1"});
  Shaken first = shake(context.get());
  ASSERT_TRUE(first.session);
  EXPECT_FALSE(first.reused);
  EXPECT_TRUE(reload(*tls, options()).ok());
  const Shaken second = shake(context.get(), first.session.get());
  EXPECT_TRUE(second.client_ok);
  EXPECT_TRUE(second.reused);
}

TEST_F(TlsContextTest, ATicketOfAnApiConnectionOpensNoTunnel) {
  Shaken first = shake(client({"http/1.1"}).get());
  ASSERT_TRUE(first.session);
  const Shaken stolen = shake(client({"sluice-tunnel/1"}).get(), first.session.get());
  EXPECT_FALSE(stolen.server_ok);
  EXPECT_FALSE(stolen.client_ok);
  const Shaken honest = shake(client({"sluice-tunnel/1"}, true).get(), first.session.get());
  EXPECT_TRUE(honest.client_ok);
  EXPECT_FALSE(honest.reused);
  EXPECT_EQ(honest.peer, "agent-1");
}

TEST_F(TlsContextTest, ATunnelGetsNoTicket) { EXPECT_FALSE(shake(client({"sluice-tunnel/1"}, true).get()).session); }

TEST_F(TlsContextTest, TicketsCanBeOff) {
  ServerTlsOptions off = options();
  off.tickets = Tickets::kOff;
  ASSERT_TRUE(reload(*tls, off).ok());
  EXPECT_FALSE(shake(client({"http/1.1"}).get()).session);
}

TEST_F(TlsContextTest, TheServersOwnOrderOfCipherSuitesDecides) {
  const auto chosen = [&](const char* suites) {
    ServerTlsOptions ordered = options();
    ordered.cipher_suites = suites;
    EXPECT_TRUE(reload(*tls, ordered).ok());
    return shake(client({"http/1.1"}).get()).suite;
  };
  EXPECT_EQ(chosen("TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"), "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(chosen("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"), "TLS_AES_256_GCM_SHA384");
}

TEST_F(TlsContextTest, OnlyCheapGroupsAreComputed) {
  const auto shake_with = [&](const char* groups) {
    const auto context = client({"http/1.1"});
    EXPECT_EQ(SSL_CTX_set1_groups_list(context.get(), groups), 1) << groups;
    return shake(context.get()).client_ok;
  };
  for (const char* const good : {"X25519", "P-256", "P-384", "ffdhe8192:P-256"}) EXPECT_TRUE(shake_with(good)) << good;
  for (const char* const dear : {"ffdhe2048", "ffdhe8192", "P-521", "X448"}) EXPECT_FALSE(shake_with(dear)) << dear;
  ServerTlsOptions one = options();
  one.groups = "P-384";
  ASSERT_TRUE(reload(*tls, one).ok());
  EXPECT_FALSE(shake_with("X25519:P-256"));
  EXPECT_TRUE(shake_with("P-384"));
  one.groups = "no-such-group";
  EXPECT_EQ(reload(*tls, one).message(), "no key exchange groups: no-such-group");
}

TEST_F(TlsContextTest, Tls12OnlyWhereAllowed) {
  const auto old = client({"http/1.1"});
  SSL_CTX_set_max_proto_version(old.get(), TLS1_2_VERSION);
  EXPECT_FALSE(shake(old.get()).server_ok);
  ServerTlsOptions allowed = options();
  allowed.floor = TlsFloor::k12;
  ASSERT_TRUE(reload(*tls, allowed).ok());
  EXPECT_TRUE(shake(old.get()).client_ok);
}

TEST_F(TlsContextTest, ABadReloadSaysWhyAndChangesNothing) {
  const auto before = tls->context();
  const auto why = [&](const std::string& certificate, const std::string& key) {
    ServerTlsOptions bad = options();
    bad.certificate_file = certificate;
    bad.key_file = key;
    return std::string(reload(*tls, bad).message());
  };
  const std::string junk = files.put("junk.pem", "junk");
  EXPECT_NE(why("/nowhere.pem", files.key_file).find("cannot read certificate /nowhere.pem"), std::string::npos);
  EXPECT_NE(why(junk, files.key_file).find("junk.pem holds no usable certificate"), std::string::npos);
  EXPECT_NE(why(files.certificate_file, junk).find("junk.pem holds no usable key"), std::string::npos);
  EXPECT_NE(why(files.certificate_file, files.client_key_file).find("is not the key of"), std::string::npos)
      << why(files.certificate_file, files.client_key_file);
  EXPECT_EQ(tls->context(), before);
}

// A certificate for `key`, signed by itself, and the key: PEM.
KeyAndCertificate self_signed(EVP_PKEY* key, const EVP_MD* digest) {
  X509* const made = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
  X509_gmtime_adj(X509_getm_notBefore(made), -60);
  X509_gmtime_adj(X509_getm_notAfter(made), 3600);
  X509_set_pubkey(made, key);
  X509_sign(made, key, digest);
  BIO* const bio = BIO_new(BIO_s_mem());
  const auto text = [bio] {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string copy(data, static_cast<std::size_t>(size));
    (void)BIO_reset(bio);
    return copy;
  };
  KeyAndCertificate pair;
  PEM_write_bio_X509(bio, made);
  pair.certificate = text();
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  pair.key.assign(text());
  BIO_free(bio);
  X509_free(made);
  return pair;
}

TEST_F(TlsContextTest, OnlyStrongAndCheapCertificateKeysAreTaken) {
  const auto reload_with = [&](EVP_PKEY* key, const EVP_MD* digest) {
    const KeyAndCertificate pair = self_signed(key, digest);
    EVP_PKEY_free(key);
    ServerTlsOptions with = options();
    with.certificate_file = files.put("own.pem", pair.certificate);
    with.key_file = files.put("own.key", pair.key);
    return std::string(reload(*tls, with).message());
  };
  const std::string advice = "; use P-256, P-384, Ed25519, or RSA of 2048 bits or more";
  const std::string file = files.folder.file("own.pem");
  EXPECT_EQ(reload_with(EVP_EC_gen("P-256"), EVP_sha256()), "");
  EXPECT_EQ(reload_with(EVP_EC_gen("P-384"), EVP_sha384()), "");
  EXPECT_EQ(reload_with(EVP_RSA_gen(2048), EVP_sha256()), "");
  EXPECT_EQ(reload_with(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), nullptr), "");
  EXPECT_EQ(reload_with(EVP_RSA_gen(1024), EVP_sha256()), file + " has an RSA key of 1024 bits" + advice);
  EXPECT_EQ(reload_with(EVP_EC_gen("P-521"), EVP_sha512()), file + " has an EC key on secp521r1" + advice);
  EXPECT_EQ(reload_with(EVP_EC_gen("secp256k1"), EVP_sha256()), file + " has an EC key on secp256k1" + advice);
  EXPECT_EQ(reload_with(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448"), nullptr),
            file + " has a key of type ED448" + advice);
}

TEST(TicketKeys, AreKeptForTwoLifetimesAndThenForgotten) {
  TicketKeys keys(hours(2));
  const MonoTime start = Mono::now();
  TicketKeys::Key sealed, opened;
  ASSERT_TRUE(keys.seal_key(sealed, start));
  EXPECT_EQ(keys.open_key(sealed.name, opened, start + hours(1)), TicketKeys::Found::kCurrent);
  EXPECT_EQ(keys.open_key(sealed.name, opened, start + hours(3)), TicketKeys::Found::kPrevious);
  EXPECT_EQ(opened.cipher, sealed.cipher);
  EXPECT_EQ(keys.open_key(sealed.name, opened, start + hours(5)), TicketKeys::Found::kNo);
  TicketKeys::Key next;
  ASSERT_TRUE(keys.seal_key(next, start + hours(9)));
  EXPECT_NE(next.name, sealed.name);
}

TEST(Certificates, SayWhatTheyWereMadeFor) {
  const auto ca = create_ca("our CA", hours(24)).value();
  const std::vector<std::string> names{"gateway.example", "127.0.0.1", "::1"};
  const auto server = read_certificate(create_server_certificate(ca, names, hours(2)).value().certificate).value();
  EXPECT_EQ(server.names, names);
  EXPECT_EQ(server.issuer_common_name, "our CA");
  const auto now = SystemClock().wall();
  EXPECT_LT(server.not_before, now);
  EXPECT_NEAR(std::chrono::duration<double>(server.not_after - now).count(), 2 * 3600, 60);

  const auto request = create_request("as it wishes").value();
  const auto agent =
      read_certificate(sign_client_request(ca, request.request, "as we say", hours(720)).value()).value();
  EXPECT_EQ(agent.common_name, "as we say");
  EXPECT_EQ(agent.fingerprint.size(), 64U);
}

TEST(Certificates, RefuseNonsense) {
  const auto ca = create_ca("our CA", hours(24)).value();
  EXPECT_FALSE(sign_client_request(ca, "junk", "a", hours(1)).ok());
  EXPECT_FALSE(sign_client_request(ca, std::string(100'000, 'x'), "a", hours(1)).ok());
  EXPECT_FALSE(read_certificate("junk").ok());
  const std::vector<std::string> none, odd{"a,DNS:evil"};
  EXPECT_FALSE(create_server_certificate(ca, none, hours(1)).ok());
  EXPECT_FALSE(create_server_certificate(ca, odd, hours(1)).ok());
  auto other = create_ca("another", hours(1)).value();
  other.certificate = ca.certificate;
  EXPECT_FALSE(create_server_certificate(other, std::vector<std::string>{"a"}, hours(1)).ok());

  // A request whose signature is not its key's.
  std::string request = create_request("a").value().request;
  const std::size_t middle = request.size() / 2;
  for (std::size_t at = middle; at < middle + 40; ++at) {
    std::string broken = request;
    broken[at] = broken[at] == 'A' ? 'B' : 'A';
    const auto made = sign_client_request(ca, broken, "a", hours(1));
    EXPECT_FALSE(made.ok() && broken != request);
  }
}

}  // namespace
}  // namespace sluice::net
