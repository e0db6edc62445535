"""Attacks that scenario tests hold: run by name, a line for each."""
import re
import subprocess

# What each is of; a name that ends in :: is a whole module.
TESTS = {
    'A6': ['privileges::', 'confinement::'],
    'A8': ['secrets::'],
    'A9': ['reception::no_secret_of_auth_reaches_a_record'],
    'A10': ['logins::', 'sandbox_guesses::'],
    'A11': ['reception::a_login_in_clear_does_not_survive_starttls'],
    'doors': ['doors::'],
    'xclient': ['front_ends::'],
    'forged': ['events::what_a_peer_says_cannot_forge_a_record'],
    'tls out': ['next_hops::mail_that_must_be_encrypted_never_goes_in_clear', 'tenants::a_smart_host_that_cannot_be_trusted'],
    'two': ['spool_recovery::a_second_engine_on_the_same_spool_is_refused'],
    'bombs': ['policy::a_runaway_handler_is_interrupted', 'bad_input::'],
    'peers': ['peer_limits::'],
    'access': ['access::'],
    'sandbox': ['sandbox_http::', 'sandbox_smtp::a_websocket_of_another_site_is_refused'],
}


def run():
    """Gives how many there were, and how many did not hold."""
    names = [name for group in TESTS.values() for name in group]
    command = ['cargo', 'test', '--quiet', '--locked', '--workspace', '--test', 'scenarios', '--', '--format=pretty', *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    results = re.findall(r'^test (\S+) \.\.\. (ok|FAILED)', done.stdout, re.M)
    bad = 0
    for kind, group in TESTS.items():
        for name, outcome in results:
            if any(name.startswith(start) for start in group):
                word = 'held' if outcome == 'ok' else 'FAILED'
                bad += word == 'FAILED'
                print(f'{word:6} {kind:10} test {name}', flush=True)
    if not results:
        print(f'FAILED tests      they could not be run: {(done.stderr or done.stdout)[-400:]}')
        return 1, 1
    return len(results), bad
