//! Signing in to a cluster: tokens of OAUTHBEARER wherever they come from, secrets that change while a run goes on, and
//! what is not built.

use crate::flow::{Flow, stop};
use sandbar_tests::issuer::{CLIENT, Issuer, token};
use sandbar_tests::kafka::{Kafka, SASL_USER};
use sandbar_tests::process;
use sandbar_tests::wait::{self, PATIENCE, seconds};

const BOUNDED: &str = "start = \"earliest\"\nstop = \"latest\"";
const OAUTH: &str = "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"OAUTHBEARER\"\n";

/// A flow whose pipeline signs in with a token, with these further properties.
fn with_token(name: &str, source: &str, properties: &str) -> Flow {
    let mut flow = Flow::new(name, 1, source);
    flow.file.brokers = Kafka::shared().oauth_bootstrap();
    flow.file.properties = format!("{OAUTH}{properties}");
    flow
}

fn from_issuer(name: &str, source: &str, issuer: &Issuer, secret: &str) -> Flow {
    let properties = format!(
        "\"sasl.oauthbearer.method\" = \"oidc\"\n\"sasl.oauthbearer.token.endpoint.url\" = \"{}\"\n\
         \"sasl.oauthbearer.client.id\" = \"{}\"\n\"sasl.oauthbearer.client.secret\" = {{ file = \"secret\" }}",
        issuer.url, CLIENT.0
    );
    let flow = with_token(name, source, &properties);
    std::fs::write(flow.file.path("secret"), secret).expect("a secret");
    flow
}

#[test]
fn tokens_of_an_oidc_provider_are_asked_for_again_before_they_end() {
    // The broker ends a connection with its token. A fifth of its life is what a starved process has to bring a new
    // one.
    let issuer = Issuer::start(seconds(60));
    let mut flow = from_issuer("oidc", "start = \"earliest\"", &issuer, CLIENT.1);
    flow.file.tables = "[checkpoint]\ninterval = \"200ms\"".into();
    flow.send(0..10);
    let run = flow.start();
    flow.wait_count(10, &run);
    let before = issuer.issued();
    wait::until_true("several tokens are asked for", seconds(300), || {
        issuer.issued() >= before + 2
    });
    flow.send(10..20);
    flow.wait_count(20, &run);
    let said = run.lines().join("\n");
    assert!(!said.contains("uthentication"), "{said}");
    stop(run);
    assert_eq!(flow.sorted(), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_token_from_a_file_or_a_command_opens_the_door() {
    for source in ["{ file = \"token\" }", "{ command = [\"cat\", \"TOKEN\"] }"] {
        let mut flow = with_token("token", BOUNDED, "");
        let path = flow.file.path("token");
        std::fs::write(&path, token(seconds(600))).expect("a token");
        let source = source.replace("TOKEN", &path.display().to_string());
        flow.file.properties += &format!("\"sasl.oauthbearer.token\" = {source}");
        flow.send(0..5);
        flow.finish();
        assert_eq!(flow.numbers(), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_token_that_cannot_be_had_or_is_not_taken_ends_the_start_and_shows_nothing() {
    let issuer = Issuer::start(seconds(60));
    let refused = from_issuer("no-token", BOUNDED, &issuer, "hunter2");
    let nobody = with_token(
        "no-file",
        BOUNDED,
        "\"sasl.oauthbearer.token\" = { command = [\"false\"] }",
    );
    for (flow, words) in [(&refused, "invalid_client"), (&nobody, "false")] {
        let ended = flow.file.run().wait(PATIENCE);
        assert_eq!(ended.code, Some(5), "{}", ended.text);
        for words in ["failed to get a token for Kafka", words] {
            assert!(ended.text.contains(words), "{words}:\n{}", ended.text);
        }
        assert!(!ended.text.contains("hunter2"), "{}", ended.text);
    }
    // Unsigned, as is known at once; and of nobody.
    let unfit = with_token(
        "unfit",
        BOUNDED,
        "\"sasl.oauthbearer.token\" = { command = [\"echo\", \"opaque\"] }",
    );
    let ended = unfit.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    assert!(ended.text.contains("uthentication"), "{}", ended.text);
}

#[test]
fn what_is_not_built_is_refused_by_name_before_anything_runs() {
    for (properties, words) in [
        (
            "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanism\" = \"GSSAPI\"",
            "GSSAPI",
        ),
        ("\"security.protocol\" = \"sasl_ssl\"", "sasl.mechanism"),
        ("\"sasl.kerberos.service.name\" = \"kafka\"", "Kerberos"),
        ("\"sasl.mechanism\" = \"OAUTHBEARER\"", "sasl.oauthbearer.token"),
        ("\"sasl.mechanism\" = \"AWS_MSK_IAM\"", "AWS_MSK_IAM"),
    ] {
        let mut flow = Flow::new("not-built", 1, BOUNDED);
        flow.file.properties = properties.into();
        let file = flow.file.write("").display().to_string();
        let ended = process::run(&["check", &file]);
        assert_eq!(ended.code, Some(3), "{}", ended.text);
        assert!(ended.text.contains(words), "{words}:\n{}", ended.text);
    }
}

#[test]
fn a_password_that_changes_in_its_file_is_used_for_new_connections() {
    let kafka = Kafka::start(1);
    let mut flow = Flow::on(&kafka, "rotated", 1, "start = \"earliest\"");
    flow.file.brokers = kafka.sasl_bootstrap();
    flow.file.tables = "[checkpoint]\ninterval = \"200ms\"".into();
    std::fs::write(flow.file.path("password"), SASL_USER.1).expect("a password");
    flow.file.properties = format!(
        "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"{}\"\n\
         \"sasl.password\" = {{ file = \"password\" }}",
        SASL_USER.0
    );
    flow.send(0..10);
    let mut run = flow.start();
    flow.wait_count(10, &run);
    std::fs::write(flow.file.path("password"), "another-one\n").expect("a password");
    run.wait_for("the new password is read", PATIENCE, |lines| {
        lines.iter().any(|line| line.contains("`sasl.password` changed"))
    });
    kafka.kill(1);
    kafka.configure(&format!(
        "listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
         required user_{}=\"another-one\";",
        SASL_USER.0
    ));
    kafka.restart(1);
    flow.send(10..20);
    let (mut count, limit) = (0, std::time::Instant::now() + seconds(90));
    while count < 20 {
        assert!(
            std::time::Instant::now() < limit,
            "{count} of 20:\n{}",
            run.lines().join("\n")
        );
        count = flow.count();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    stop(run);
    assert_eq!(flow.sorted(), (0..20).collect::<Vec<_>>());
}
