//! What the API server would say to a policy, problem by problem, and what it makes of what isn't written.

use netpol_policy::model::{Direction, NetworkPolicy};
use netpol_policy::source::{Content, Manifest, PolicySource, PortValue, Problem, ProblemKind, Slot};

const HEAD: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n";

/// The one policy of a text.
fn read(text: &str) -> PolicySource {
    let manifest = Manifest::read(text, "default");
    assert_eq!(manifest.errors, [], "{text}");
    let [object] = <[_; 1]>::try_from(manifest.objects).unwrap_or_else(|o| panic!("{} objects", o.len()));
    match object.content {
        Content::Policy(policy) => *policy,
        other => panic!("{other:?}"),
    }
}

fn with_spec(spec: &str) -> (String, PolicySource) {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("{HEAD}spec:\n{spec}");
    let policy = read(&text);
    (text, policy)
}

/// `Kind path "characters"` of every problem.
fn problems(text: &str, problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|p| {
            format!("{:?} {} {:?}", p.kind, p.path, text[p.span.range()].lines().next().unwrap_or_default())
        })
        .collect()
}

/// Specs that the API server refuses: the spec, and its problems.
#[test]
fn refused() {
    let cases: &[(&str, &[&str])] = &[
        // Peers.
        ("ingress: [{from: [{}]}]", &[r#"InvalidPeer spec.ingress[0].from[0] "{}""#]),
        (
            "ingress: [{from: [{podSelector: null}]}]",
            &[r#"InvalidPeer spec.ingress[0].from[0] "{podSelector: null}""#],
        ),
        (
            "egress: [{to: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]",
            &[r#"InvalidPeer spec.egress[0].to[0] "ipBlock""#],
        ),
        // Null items.
        ("ingress:\n- from:\n  - ~\n", &[r#"NullItem spec.ingress[0].from[0] "- ~""#]),
        (
            "egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [null]}}]}]",
            &[r#"NullItem spec.egress[0].to[0].ipBlock.except[0] "null""#],
        ),
        ("policyTypes: [Ingress, null]", &[r#"NullItem spec.policyTypes[1] "null""#]),
        // Selectors.
        (
            "podSelector: {matchExpressions: [{key: a, operator: Equals, values: [b]}]}",
            &[r#"InvalidSelector spec.podSelector.matchExpressions[0].operator "Equals""#],
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: In}]}",
            &[r#"InvalidSelector spec.podSelector.matchExpressions[0].values "In""#],
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: NotIn, values: []}]}",
            &[r#"InvalidSelector spec.podSelector.matchExpressions[0].values "values: []""#],
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
            &[r#"InvalidSelector spec.podSelector.matchExpressions[0].values "values: [b]""#],
        ),
        (
            "podSelector: {matchExpressions: [{operator: Exists}]}",
            &[r#"InvalidSelector spec.podSelector.matchExpressions[0].key "operator""#],
        ),
        (
            "podSelector: {matchExpressions: [{key: a}]}",
            &[r#"InvalidSelector spec.podSelector.matchExpressions[0].operator "key""#],
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: In, values: [-x]}]}",
            &[r#"InvalidSelector spec.podSelector.matchExpressions[0].values[0] "-x""#],
        ),
        (
            "podSelector: {matchLabels: {app/a/b: x, b: 'no spaces'}}",
            &[
                r#"InvalidSelector spec.podSelector.matchLabels["app/a/b"] "app/a/b""#,
                r#"InvalidSelector spec.podSelector.matchLabels.b "'no spaces'""#,
            ],
        ),
        // Labels that are no texts.
        (
            "podSelector: {matchLabels: {version: 1.5, on: x, ready: yes, none: }}",
            &[
                "NonStringLabel spec.podSelector.matchLabels.version \"1.5\"",
                "NonStringLabel spec.podSelector.matchLabels.ready \"yes\"",
                "NonStringLabel spec.podSelector.matchLabels.none \"\"",
            ],
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: In, values: [1]}]}",
            &[r#"NonStringLabel spec.podSelector.matchExpressions[0].values[0] "1""#],
        ),
        // Ports.
        ("ingress: [{ports: [{port: 0}]}]", &[r#"InvalidPort spec.ingress[0].ports[0].port "0""#]),
        ("ingress: [{ports: [{port: 65536}]}]", &[r#"InvalidPort spec.ingress[0].ports[0].port "65536""#]),
        ("ingress: [{ports: [{port: '80'}]}]", &[r#"InvalidPort spec.ingress[0].ports[0].port "'80'""#]),
        ("ingress: [{ports: [{port: HTTP}]}]", &[r#"InvalidPort spec.ingress[0].ports[0].port "HTTP""#]),
        ("ingress: [{ports: [{port: 80-90}]}]", &[r#"InvalidPort spec.ingress[0].ports[0].port "80-90""#]),
        ("ingress: [{ports: [{port: ''}]}]", &[r#"InvalidPort spec.ingress[0].ports[0].port "''""#]),
        ("ingress: [{ports: [{port: 80.5}]}]", &[r#"WrongType spec.ingress[0].ports[0].port "80.5""#]),
        ("ingress: [{ports: [80]}]", &[r#"WrongType spec.ingress[0].ports[0] "80""#]),
        // endPort.
        (
            "ingress: [{ports: [{port: 90, endPort: 80}]}]",
            &[r#"InvalidEndPort spec.ingress[0].ports[0].endPort "80""#],
        ),
        ("ingress: [{ports: [{endPort: 80}]}]", &[r#"InvalidEndPort spec.ingress[0].ports[0].endPort "80""#]),
        (
            "ingress: [{ports: [{port: web, endPort: 80}]}]",
            &[r#"InvalidEndPort spec.ingress[0].ports[0].endPort "80""#],
        ),
        (
            "ingress: [{ports: [{port: 1, endPort: 65536}]}]",
            &[r#"InvalidEndPort spec.ingress[0].ports[0].endPort "65536""#],
        ),
        (
            "ingress: [{ports: [{port: 1, endPort: '2'}]}]",
            &[r#"WrongType spec.ingress[0].ports[0].endPort "'2'""#],
        ),
        // Enums.
        (
            "ingress: [{ports: [{protocol: tcp}]}]",
            &[r#"InvalidEnum spec.ingress[0].ports[0].protocol "tcp""#],
        ),
        (
            "ingress: [{ports: [{protocol: ICMP}]}]",
            &[r#"InvalidEnum spec.ingress[0].ports[0].protocol "ICMP""#],
        ),
        ("policyTypes: [ingress]", &[r#"InvalidEnum spec.policyTypes[0] "ingress""#]),
        ("policyTypes: [Ingress, Egress, Ingress]", &[r#"InvalidEnum spec.policyTypes[2] "Ingress""#]),
        // CIDRs.
        ("egress: [{to: [{ipBlock: {}}]}]", &[r#"InvalidCidr spec.egress[0].to[0].ipBlock.cidr "{}""#]),
        (
            "egress: [{to: [{ipBlock: {cidr: }}]}]",
            &[r#"InvalidCidr spec.egress[0].to[0].ipBlock.cidr "cidr""#],
        ),
        (
            "egress: [{to: [{ipBlock: {cidr: 10.0.0.1}}]}]",
            &[r#"InvalidCidr spec.egress[0].to[0].ipBlock.cidr "10.0.0.1""#],
        ),
        (
            "egress: [{to: [{ipBlock: {cidr: 10.0.0.0/33}}]}]",
            &[r#"InvalidCidr spec.egress[0].to[0].ipBlock.cidr "10.0.0.0/33""#],
        ),
        (
            "egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8, 11.0.0.0/16, 'fd00::/64', x]}}]}]",
            &[
                r#"InvalidCidr spec.egress[0].to[0].ipBlock.except[0] "10.0.0.0/8""#,
                r#"InvalidCidr spec.egress[0].to[0].ipBlock.except[1] "11.0.0.0/16""#,
                r#"InvalidCidr spec.egress[0].to[0].ipBlock.except[2] "'fd00::/64'""#,
                r#"InvalidCidr spec.egress[0].to[0].ipBlock.except[3] "x""#,
            ],
        ),
        // Types.
        ("ingress: {}", &[r#"WrongType spec.ingress "{}""#]),
        ("ingress:\n  from:\n  - podSelector: {}", &[r#"WrongType spec.ingress "from""#]),
        ("podSelector: db", &[r#"WrongType spec.podSelector "db""#]),
        ("policyTypes: Ingress", &[r#"WrongType spec.policyTypes "Ingress""#]),
        ("podSelector: {matchLabels: [a]}", &[r#"WrongType spec.podSelector.matchLabels "[a]""#]),
        ("podSelector: {matchLabels: {a: [b]}}", &[r#"WrongType spec.podSelector.matchLabels.a "[b]""#]),
        ("egress: [{to: [{ipBlock: {cidr: 10}}]}]", &[r#"WrongType spec.egress[0].to[0].ipBlock.cidr "10""#]),
        ("egress: [{ports: [{protocol: 6}]}]", &[r#"WrongType spec.egress[0].ports[0].protocol "6""#]),
        // An unknown field whose loss leaves a peer empty: the field alone is reported.
        (
            "ingress: [{from: [{podselector: {}}]}]",
            &[r#"UnknownField spec.ingress[0].from[0].podselector "podselector""#],
        ),
    ];
    for (spec, expected) in cases {
        let (text, policy) = with_spec(spec);
        assert_eq!(problems(&text, &policy.problems), *expected, "{spec}");
        assert_eq!(policy.model, None, "{spec}");
    }
}

/// Specs that the API server takes, in spite of what is in them.
#[test]
fn dropped_or_tolerated() {
    let cases: &[(&str, &[&str])] = &[
        ("podSelectors: {}", &[r#"UnknownField spec.podSelectors "podSelectors""#]),
        ("ingress: [{form: []}]", &[r#"UnknownField spec.ingress[0].form "form""#]),
        ("ingress: [{podSelector: {}}]", &[r#"UnknownField spec.ingress[0].podSelector "podSelector""#]),
        (
            "ingress: [{ports: [{port: 80, name: x}]}]",
            &[r#"UnknownField spec.ingress[0].ports[0].name "name""#],
        ),
        ("podSelector: {app: x}", &[r#"UnknownField spec.podSelector.app "app""#]),
        (
            "egress: [{to: [{ipBlock: {cidr: '::/0', cidrs: []}}]}]",
            &[r#"UnknownField spec.egress[0].to[0].ipBlock.cidrs "cidrs""#],
        ),
        (
            "podSelector: {matchExpressions: [{key: a, operator: Exists, value: b}]}",
            &[r#"UnknownField spec.podSelector.matchExpressions[0].value "value""#],
        ),
        ("ingress: [{to: [{podSelector: {}}]}]", &[r#"WrongDirectionField spec.ingress[0].to "to""#]),
        ("egress: [{from: [], ports: []}]", &[r#"WrongDirectionField spec.egress[0].from "from""#]),
        ("policyTypes: [Ingress, Ingress]", &[r#"InvalidEnum spec.policyTypes[1] "Ingress""#]),
        (
            "egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, cidr: 11.0.0.0/8}}]}]",
            &[r#"DuplicateKey spec.egress[0].to[0].ipBlock.cidr "cidr""#],
        ),
        ("podSelector: {matchLabels: {a: x, a: z}}", &[r#"DuplicateKey spec.podSelector.matchLabels.a "a""#]),
        ("egress: [{to: [{ipBlock: {cidr: 010.0.0.5/08}}]}]", &[]),
        // Null is read as a value with nothing in it.
        ("ingress:\n-", &[r#"NullItem spec.ingress[0] "-""#]),
        ("egress: [{ports: [null]}]", &[r#"NullItem spec.egress[0].ports[0] "null""#]),
        (
            "podSelector: {matchExpressions: [{key: a, operator: In, values: [~]}]}",
            &[r#"NullItem spec.podSelector.matchExpressions[0].values[0] "~""#],
        ),
        ("podSelector: {matchLabels: {a: }}", &[r#"NonStringLabel spec.podSelector.matchLabels.a """#]),
        ("podSelector: {matchLabels: {a: 1, a: x}}", &[r#"DuplicateKey spec.podSelector.matchLabels.a "a""#]),
        ("ingress: [{ports: [{port: 0x50}, {port: 8e1}, {port: 80, endPort: 80}]}]", &[]),
    ];
    for (spec, expected) in cases {
        let (text, policy) = with_spec(spec);
        assert_eq!(problems(&text, &policy.problems), *expected, "{spec}");
        assert!(policy.model.is_some(), "{spec}");
    }
}

/// Whole objects.
#[test]
fn objects() {
    let cases: &[(&str, &[&str], bool)] = &[
        (
            "apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: p}\n",
            &[r#"RemovedApiVersion apiVersion "extensions/v1beta1""#],
            false,
        ),
        (
            "apiVersion: v1\nkind: NetworkPolicy\nmetadata: {name: p}\n",
            &[r#"RemovedApiVersion apiVersion "v1""#],
            false,
        ),
        ("kind: NetworkPolicy\nmetadata: {name: p}\n", &[r#"WrongType apiVersion "NetworkPolicy""#], false),
        (
            "apiVersion: networking.k8s.io/v1\nkind: networkPolicy\nmetadata: {name: p}\n",
            &[r#"InvalidEnum kind "networkPolicy""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n",
            &[r#"InvalidName metadata.name "NetworkPolicy""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: x}\n",
            &[r#"InvalidName metadata.name "metadata""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: My_Policy, namespace: a.b}\n",
            &[r#"InvalidName metadata.name "My_Policy""#, r#"InvalidName metadata.namespace "a.b""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: 1.5}\n",
            &[r#"WrongType metadata.name "1.5""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, labels: {a: 1}, annotations: {b: true}}\n",
            &[r#"NonStringLabel metadata.labels.a "1""#, r#"NonStringLabel metadata.annotations.b "true""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {generateName: p-, uid: x}\nstatus: {}\n",
            &[],
            true,
        ),
        // `ValidateObjectMetaAccessor`: an empty name is none; what begins a name is checked beside one too, with a dash at
        // its end and what is before that as one letter. What comes of it must be a name.
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: '', generateName: p-}\n",
            &[],
            true,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: '', generateName: ''}\n",
            &[r#"InvalidName metadata.name "metadata""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {generateName: P_}\n",
            &[r#"InvalidName metadata.generateName "P_""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, generateName: P_}\n",
            &[r#"InvalidName metadata.generateName "P_""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, generateName: p_-}\n",
            &[],
            true,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {generateName: p_-}\n",
            &[r#"InvalidName metadata.generateName "p_-""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, generateName: '-'}\n",
            &[r#"InvalidName metadata.generateName "'-'""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, generateName: 5}\n",
            &[r#"WrongType metadata.generateName "5""#],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, uid: 5, resourceVersion: 12, selfLink: null}\n",
            &[r#"WrongType metadata.uid "5""#, r#"WrongType metadata.resourceVersion "12""#],
            false,
        ),
        // `ValidateAnnotations`: keys are those of labels, in upper or lower case.
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, annotations: {a b: x, Example.COM/Key: x, a/b/c: x, '': x, -a: x}}\n",
            &[
                r#"InvalidName metadata.annotations["a b"] "a b""#,
                r#"InvalidName metadata.annotations["a/b/c"] "a/b/c""#,
                r#"InvalidName metadata.annotations[""] "''""#,
                r#"InvalidName metadata.annotations["-a"] "-a""#,
            ],
            false,
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, nmespace: x}\npodSelector: {}\n",
            &[r#"UnknownField metadata.nmespace "nmespace""#, r#"UnknownField podSelector "podSelector""#],
            true,
        ),
    ];
    for (text, expected, accepted) in cases {
        let policy = read(text);
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        let mut found = problems(text, &policy.problems);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{text}");
        assert_eq!(policy.model.is_some(), *accepted, "{text}");
    }
}

/// `ValidateAnnotationsSize`: all keys and values together.
#[test]
fn annotations_have_a_size() {
    let text = |length: usize| {
        let value = "x".repeat(length);
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: p\n  annotations:\n    a: {value}\n    b: {value}\n"
        )
    };
    assert!(read(&text((128 << 10) - 1)).model.is_some());
    let policy = read(&text(128 << 10));
    assert!(policy.model.is_none());
    let [problem] = &policy.problems[..] else { panic!("{:?}", policy.problems) };
    assert_eq!((problem.kind, &*problem.path), (ProblemKind::InvalidName, "metadata.annotations"));
}

#[test]
fn every_problem_says_what_to_do_where_it_can() {
    let (_, policy) =
        with_spec("podselector: {}\ningress: [{ports: [{port: '80', protocol: tcp}], form: []}]");
    let help: Vec<_> = policy.problems.iter().map(|problem| problem.help.as_deref().unwrap_or("-")).collect();
    assert_eq!(
        help,
        [
            "did you mean `podSelector`?",
            "write the number without quotes",
            "write `TCP`",
            "did you mean `from`?"
        ]
    );
    for problem in &policy.problems {
        assert!(!problem.message.ends_with('.'), "{}", problem.message);
    }
    let (text, policy) = with_spec("ingress: []\ningress: []");
    let related = policy.problems[0].related.unwrap();
    assert!(related.start < policy.problems[0].span.start);
    assert_eq!(&text[related.range()], "ingress");
}

fn model(spec: &str) -> NetworkPolicy {
    let (_, policy) = with_spec(spec);
    assert_eq!(policy.problems, [], "{spec}");
    policy.model.as_deref().cloned().unwrap_or_else(|| panic!("{spec}"))
}

/// Number of rules by direction; `-` where the policy doesn't isolate.
#[test]
fn policy_types_are_defaulted() {
    let cases = [
        ("podSelector: {}", "0 -"),
        ("ingress:", "0 -"),
        ("ingress: []", "0 -"),
        ("egress: []", "0 -"),
        ("egress:", "0 -"),
        ("egress: [{}]", "0 1"),
        ("ingress: [{}]", "1 -"),
        ("ingress: [{}]\negress: [{}, {}]", "1 2"),
        ("policyTypes:", "0 -"),
        ("policyTypes: []\negress: [{}]", "0 1"),
        ("policyTypes: [Ingress]\negress: [{}]", "0 -"),
        ("policyTypes: [Egress]\ningress: [{}]", "- 0"),
        ("policyTypes: [Egress, Ingress]", "0 0"),
    ];
    for (spec, expected) in cases {
        let policy = model(spec);
        let count = |direction| policy.rules(direction).map_or("-".into(), |rules| rules.len().to_string());
        assert_eq!(format!("{} {}", count(Direction::Ingress), count(Direction::Egress)), expected, "{spec}");
    }
    for text in [HEAD.to_owned(), format!("{HEAD}spec:\n"), format!("{HEAD}spec: {{}}\n")] {
        let policy = read(&text).model.unwrap();
        assert!(policy.pod_selector.is_everything(), "{text}");
        assert_eq!((policy.ingress.as_ref().map(Vec::len), &policy.egress), (Some(0), &None), "{text}");
    }
}

/// Peers and ports of the first ingress rule.
#[test]
fn rules_are_defaulted() {
    let cases = [
        ("{}", "everyone; all ports"),
        ("{from: , ports: }", "everyone; all ports"),
        ("{from: [], ports: []}", "everyone; all ports"),
        ("{from: [{podSelector: {}}]}", "all pods of this namespace; all ports"),
        ("{from: [{podSelector: }, {podSelector: {}}]}", "refused"),
        ("{from: [{namespaceSelector: {}}]}", "all pods of all namespaces; all ports"),
        ("{from: [{namespaceSelector: {}, podSelector: }]}", "all pods of all namespaces; all ports"),
        (
            "{from: [{namespaceSelector: {matchLabels: {a: b}}, podSelector: {matchLabels: {c: ''}}}]}",
            "pods c= of namespaces a=b; all ports",
        ),
        (
            "{from: [{ipBlock: {cidr: 10.1.2.3/8, except: [10.1.0.0/16]}}]}",
            "10.0.0.0/8 except 10.1.0.0/16; all ports",
        ),
        ("{from: [{ipBlock: {cidr: '::ffff:10.0.0.0/104'}}]}", "10.0.0.0/8; all ports"),
        ("{from: [{ipBlock: {cidr: 'FD00::/8', except: }}]}", "fd00::/8; all ports"),
        ("{from: [{ipBlock: {cidr: '::ffff:10.0.0.0/104', except: [10.1.0.0/16]}}]}", "refused"),
        ("{ports: [{}]}", "everyone; TCP"),
        ("{ports: [{protocol: UDP}]}", "everyone; UDP"),
        ("{ports: [{port: 80, protocol: }]}", "everyone; 80/TCP"),
        ("{ports: [{port: , protocol: SCTP}]}", "everyone; SCTP"),
        (
            "{ports: [{port: web}, {port: 1, endPort: 65535, protocol: UDP}]}",
            "everyone; web/TCP, 1-65535/UDP",
        ),
    ];
    for (rule, expected) in cases {
        let (_, policy) = with_spec(&format!("ingress: [{rule}]"));
        let found = policy.model.map_or("refused".to_owned(), |policy| {
            let rule = &policy.ingress.as_ref().unwrap()[0];
            let join = |items: Vec<String>, all: &str| {
                if items.is_empty() { all.to_owned() } else { items.join(", ") }
            };
            let peers = rule.peers.items().iter().map(ToString::to_string).collect();
            let ports = rule.ports.items().iter().map(ToString::to_string).collect();
            format!("{}; {}", join(peers, "everyone"), join(ports, "all ports"))
        });
        assert_eq!(found, expected, "{rule}");
    }
}

#[test]
fn fields_keep_their_places() {
    let (text, policy) = with_spec(
        "podSelector:\ningress:\n# why\n- from: &f\n  - podSelector: {}\n  ports:\n  - port: '80'\n- from: *f\n  ports: []\negress: ~",
    );
    let spec = policy.spec.value().unwrap();
    let Slot::Null(selector) = &spec.pod_selector else { panic!("{:?}", spec.pod_selector) };
    assert!(text[..selector.span.start as usize].ends_with("podSelector:") && selector.span.is_empty());
    let rules = spec.ingress.present().unwrap();
    assert_eq!(&text[rules.key.range()], "ingress");
    let [first, second] = &rules.value.items[..] else { panic!() };
    assert_eq!(&text[first.dash.unwrap().range()], "-");
    assert!(text[first.span.range()].starts_with("from: &f\n") && text[first.span.range()].ends_with("'80'"));
    let (first, second) = (first.value.as_ref().unwrap(), second.value.as_ref().unwrap());
    assert!(!first.peers.present().unwrap().shared);
    let shared = second.peers.present().unwrap();
    assert!(shared.shared);
    assert_eq!(&text[shared.span.range()], "- podSelector: {}");
    let port = first.ports.value().unwrap().items[0].value.as_ref().unwrap();
    assert_eq!(port.port.value(), Some(&PortValue::Text("80".into())));
    assert_eq!(&text[port.port.whole().unwrap().range()], "port: '80'");
    assert_eq!(&text[spec.egress.whole().unwrap().range()], "egress: ~");
    assert_eq!(policy.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [ProblemKind::InvalidPort]);
}

#[test]
fn lists_and_other_kinds() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata: {name: a}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: b}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nitems:\n- metadata: {name: c, namespace: ns}\n- metadata: {name: d}\n---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: e}\n---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: f}\n---\njust: text\n---\n- 1\n";
    let manifest = Manifest::read(text, "here");
    let names: Vec<_> = manifest.policies().map(|p| p.model.as_ref().unwrap().name.to_string()).collect();
    assert_eq!(names, ["here/a", "ns/c", "here/d"]);
    assert_eq!(manifest.objects.iter().map(|object| object.document).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(
        &text[manifest.objects[1].span.range()],
        "{name: c, namespace: ns}".replace("{name", "metadata: {name")
    );
}

#[test]
fn json() {
    let text = "{\n\t\"apiVersion\": \"networking.k8s.io/v1\",\n\t\"kind\": \"NetworkPolicy\",\n\t\"metadata\": {\"name\": \"p\"},\n\t\"spec\": {\"podSelector\": {}, \"ingress\": [{\"ports\": [{\"port\": 80}, {\"port\": \"81\"}]}]}\n}";
    let policy = read(text);
    assert_eq!(problems(text, &policy.problems), [r#"InvalidPort spec.ingress[0].ports[1].port "\"81\"""#]);
}

/// A hostile policy says no more than anyone would read.
#[test]
fn problems_are_bounded() {
    let (_, policy) = with_spec(&format!("ingress: [{{from: [{}]}}]", "null, ".repeat(50_000)));
    assert_eq!(policy.problems.len(), 1_000);
    assert_eq!(policy.model, None);
}

const WHOLE: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: p\n  namespace: x\n  labels: {a: b}\nspec:\n  podSelector: &s\n    matchLabels: {app: web}\n    matchExpressions:\n    - {key: tier, operator: In, values: [a, b]}\n    - {key: old, operator: DoesNotExist}\n  policyTypes: [Ingress, Egress]\n  ingress:\n  - from:\n    - podSelector: *s\n      namespaceSelector: {}\n    - ipBlock:\n        cidr: 10.0.0.0/8\n        except: [10.1.0.0/16]\n    ports:\n    - {port: 80, endPort: 90, protocol: TCP}\n    - port: http\n  egress:\n  - to:\n    - <<: {podSelector: {}}\n---\nkind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{ports: [{containerPort: 80}]}]}, status: {podIPs: [{ip: 10.0.0.1}]}}\n- {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {selector: {a: b}, ports: [{port: 1, targetPort: x}]}}\n";

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    /// Whatever happens to a manifest, places are inside the text, and a problem that rejects leaves no model.
    #[test]
    fn mutated(edits in proptest::collection::vec((0..2000usize, 0..12usize, "(null|\\{\\}|\\[\\]|'|é|: |- |1|-1|\n  |\\*s|a: 1, ){0,2}"), 1..5)) {
        let mut text = WHOLE.to_owned();
        for (at, cut, insert) in edits {
            let start = text.floor_char_boundary(at % text.len().max(1));
            let end = text.ceil_char_boundary((start + cut).min(text.len()));
            text.replace_range(start..end, &insert);
        }
        let manifest = Manifest::read(&text, "default");
        for policy in manifest.policies() {
            assert!(policy.model.is_some() || !policy.problems.is_empty(), "{text}");
            for problem in &policy.problems {
                assert!(text.get(problem.span.range()).is_some(), "{problem:?} in {text}");
                let lenient = matches!(
                    problem.kind,
                    ProblemKind::InvalidEnum | ProblemKind::NullItem | ProblemKind::NonStringLabel
                );
                assert!(!problem.kind.rejects() || lenient || policy.model.is_none(), "{problem:?} in {text}");
            }
        }
        netpol_policy::source::cluster([&manifest]);
    }
}
