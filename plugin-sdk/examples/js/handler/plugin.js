// Handles events. Names are those of the contract, in camelCase; 64-bit numbers are BigInt; an option that is none is
// null or undefined; an error is thrown.
import { get as setting } from 'sluice:plugin/config@0.1.0';
import { get, set } from 'sluice:plugin/kv@0.1.0';
import { write } from 'sluice:plugin/log@0.1.0';

export const lifecycle = {
  describe() {
    return {
      about: 'Counts events in the log.',
      version: '0.1.0',
      keys: [
        {
          name: 'greeting',
          kind: 'text',
          required: false,
          usual: 'Heard',
          secret: false,
          about: 'How a line in the log begins.',
        },
      ],
    };
  },

  init() {},
};

export const handler = {
  handle(event) {
    // another instance may take the place of this one between two calls: what must last is kept
    const kept = get(event.kind);
    const count = (kept ? Number(decode(kept)) : 0) + 1;
    set(event.kind, encode(String(count)), undefined);
    const greeting = setting('greeting')?.val ?? 'Heard';
    write('info', `${greeting}: ${event.kind} of ${event.pipeline ?? 'the daemon'}, number ${count}`, []);
    return { actions: [], wakeAfterMs: undefined };
  },

  wake() {
    return { actions: [], wakeAfterMs: undefined };
  },
};

function encode(text) {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function decode(bytes) {
  return String.fromCharCode(...bytes);
}
