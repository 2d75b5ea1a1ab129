//! A short way to write the shape of a JSON value, and its translation into JSON Schema.
//!
//! `{a: string, b?: int[], *: any}` is an object: `b` may be absent, and `*` is what all other fields are.
//! `T|null`, `"x"|"y"`, `T[]`, and a name with a capital stands for one of `COMPONENTS`.

use serde_json::{Map, Value, json};

/// The schema of a shape. Panics on what is no shape: shapes are constants, and a test reads them all.
pub fn schema(shape: &str) -> Value {
    let mut parser = Parser { rest: shape };
    let schema = parser.union();
    assert!(parser.peek().is_none(), "what is '{}' in the shape '{shape}'?", parser.rest);
    schema
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn takes(&mut self, token: char) -> bool {
        let is_it = self.peek() == Some(token);
        if is_it {
            self.rest = &self.rest[token.len_utf8()..];
        }
        is_it
    }

    fn expect(&mut self, token: char) {
        assert!(self.takes(token), "'{token}' is missing before '{}'", self.rest);
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        // A colon ends a field's name, and stands within one only before a letter, as in `pulumi:project`.
        let mut end = 0;
        for (at, c) in self.rest.char_indices() {
            let next = self.rest[at + c.len_utf8()..].chars().next();
            if !is_part(c) || (c == ':' && !next.is_some_and(char::is_alphanumeric)) {
                break;
            }
            end = at + c.len_utf8();
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn union(&mut self) -> Value {
        let mut members = vec![self.list()];
        while self.takes('|') {
            members.push(self.list());
        }
        if members.len() == 1 {
            return members.remove(0);
        }
        match members.iter().all(|member| member["const"].is_string()) {
            true => {
                json!({ "type": "string", "enum": members.iter().map(|m| m["const"].clone()).collect::<Vec<_>>() })
            }
            false => json!({ "anyOf": members }),
        }
    }

    fn list(&mut self) -> Value {
        let mut schema = self.single();
        while self.takes('[') {
            self.expect(']');
            schema = json!({ "type": "array", "items": schema });
        }
        schema
    }

    fn single(&mut self) -> Value {
        match self.peek() {
            Some('{') => self.object(),
            Some('"') => {
                let text = self.rest[1..].split('"').next().unwrap_or("");
                self.rest = &self.rest[text.len() + 2..];
                json!({ "const": text })
            }
            _ => named(self.word()),
        }
    }

    fn object(&mut self) -> Value {
        self.expect('{');
        let (mut fields, mut required, mut others) = (Map::new(), Vec::new(), None);
        while !self.takes('}') {
            if self.takes('*') {
                self.expect(':');
                others = Some(self.union());
            } else {
                let name = self.word().to_string();
                if !self.takes('?') {
                    required.push(name.clone());
                }
                self.expect(':');
                fields.insert(name, self.union());
            }
            self.takes(',');
        }
        let mut schema = json!({ "type": "object" });
        if !fields.is_empty() {
            schema["properties"] = fields.into();
        }
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if let Some(others) = others {
            schema["additionalProperties"] = others;
        }
        schema
    }
}

fn named(word: &str) -> Value {
    match word {
        "string" | "boolean" | "object" | "null" => json!({ "type": word }),
        "int" => json!({ "type": "integer", "format": "int64" }),
        "number" => json!({ "type": "number" }),
        "base64" => json!({ "type": "string", "contentEncoding": "base64" }),
        "time" => json!({ "type": "string", "format": "date-time" }),
        "any" => json!({}),
        name if name.starts_with(char::is_uppercase) => {
            json!({ "$ref": format!("#/components/schemas/{name}") })
        }
        other => panic!("'{other}' is the name of no shape"),
    }
}
