// Scores a stream. Names are those of the contract, in camelCase; 64-bit numbers are BigInt; an option that is none is
// null or undefined; an error is thrown.
import { get } from 'sluice:plugin/config@0.1.0';

export const lifecycle = {
  describe() {
    return {
      about: 'Scores a stream by the segments that are missing.',
      version: '0.1.0',
      keys: [
        {
          name: 'price',
          kind: 'number',
          required: false,
          usual: '25',
          secret: false,
          about: 'What a missing segment costs, of 100 points.',
        },
      ],
    };
  },

  init() {
    if (price() < 0) throw '`price` is at least 0';
  },
};

export const scorer = {
  score(sample) {
    const missing = sample.observations.filter((seen) => seen.gap).length;
    const score = Math.max(0, Math.round(100 - price() * missing));
    const words = `${missing} of ${sample.observations.length} segments are missing`;
    return { score, factors: [{ name: 'gaps', weight: 1, score, words }], refreshMs: 10_000, words };
  },
};

function price() {
  return get('price')?.val ?? 25;
}
