// Runs one call of a real package for Node, `openai` or `@anthropic-ai/sdk`: a job as JSON on standard input, what came of
// it as JSON on standard output. The packages stand in $SLUICE_SDK/node_modules.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';

const job = JSON.parse(readFileSync(0, 'utf8'));
const { default: Client, AzureOpenAI } = createRequire(process.env.SLUICE_SDK + '/package.json')(job.package);
const outcome = { chunks: [], times: [], result: null, error: null, attempts: 0, seconds: 0 };

const options = {
  apiKey: job.key,
  maxRetries: job.max_retries,
  fetch: (url, init) => {
    outcome.attempts += 1;
    return fetch(url, init);
  },
};
const client = job.azure_version
  ? new AzureOpenAI({ endpoint: job.base_url, apiVersion: job.azure_version, ...options })
  : new Client({ baseURL: job.base_url, ...options });

const began = performance.now();
const seconds = () => (performance.now() - began) / 1000;
try {
  const path = job.operation.split('.');
  const method = path.pop();
  const owner = path.reduce((at, part) => at[part], client);
  const answer = await owner[method](...(Array.isArray(job.arguments) ? job.arguments : [job.arguments]));
  if (job.arguments.stream) {
    for await (const chunk of answer) {
      outcome.times.push(seconds());
      outcome.chunks.push(chunk);
    }
  } else if (job.operation === 'models.list') {
    outcome.result = { data: [] };
    for await (const model of answer) outcome.result.data.push(model);
  } else {
    outcome.result = answer;
  }
} catch (e) {
  outcome.error = {
    name: e.constructor.name,
    status: e.status ?? null,
    code: e.code ?? null,
    type: e.type ?? e.error?.error?.type ?? null,
    message: e.message,
    request_id: e.requestID ?? null,
  };
}
outcome.seconds = seconds();
process.stdout.write(JSON.stringify(outcome));
