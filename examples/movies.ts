/**
 * Makes a file of real requests out of a public data set: one classification request for each of the 3,201 films in
 * `vega-datasets` (movies.json, compiled from The Numbers, Box Office Mojo and Rotten Tomatoes).
 *
 * `node examples/movies.ts FILE [COUNT]`
 */
import { readFileSync } from 'node:fs';
import { writeLines } from './write-lines.ts';

interface Movie {
  Title: string | number | null;
  'Release Date': string | null;
  'Major Genre': string | null;
  'MPAA Rating': string | null;
  Director: string | null;
}

const MODEL = 'gpt-6-luna';
const AUDIENCES = ['children', 'teenagers', 'families', 'adults'];
const MOODS = ['light', 'tense', 'sad', 'romantic', 'dark', 'thoughtful'];

function* movieRequests(count: number): Generator<unknown> {
  // The package exports its code only; the data lies beside it.
  const file = new URL('../data/movies.json', import.meta.resolve('vega-datasets'));
  const movies = JSON.parse(readFileSync(file, 'utf8')) as Movie[];
  for (const [index, movie] of movies.slice(0, count).entries()) {
    const known = Object.entries({
      Title: movie.Title,
      Released: movie['Release Date'],
      Genre: movie['Major Genre'],
      Rating: movie['MPAA Rating'],
      Director: movie.Director,
    });
    yield {
      custom_id: `movie-${String(index + 1).padStart(4, '0')}`,
      method: 'POST',
      url: '/v1/chat/completions',
      body: {
        model: MODEL,
        messages: [
          { role: 'system', content: 'You classify films by whom they are made for and how they feel.' },
          {
            role: 'user',
            content: known.flatMap(([name, value]) => (value === null ? [] : `${name}: ${value}`)).join('\n'),
          },
        ],
        response_format: {
          type: 'json_schema',
          json_schema: {
            name: 'film',
            strict: true,
            schema: {
              type: 'object',
              properties: {
                audience: { type: 'string', enum: AUDIENCES },
                mood: { type: 'string', enum: MOODS },
              },
              required: ['audience', 'mood'],
              additionalProperties: false,
            },
          },
        },
        max_completion_tokens: 400,
      },
    };
  }
}

const [path = 'movies.jsonl', count = '3201'] = process.argv.slice(2);
if (!/^[1-9]\d*$/.test(count)) {
  console.error(`COUNT is "${count}"; a number from 1 to 3201 is expected`);
  process.exit(2);
}
console.log(`${path}: ${await writeLines(path, movieRequests(Number(count)))} requests`);
