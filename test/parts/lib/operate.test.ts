import { expect, test } from 'vitest';
import { BATCH_ONLY } from '../../support/routes.ts';
import { functionOf, resourcesOf, synthesize } from '../../support/synthesize.ts';

const template = synthesize();
const [id, fn] = functionOf(template, 'operate');

test('the URL of operators takes signed requests only, and no policy of the function opens it to anybody', () => {
  const urls = Object.values(resourcesOf(template, 'AWS::Lambda::Url')).map(({ Properties }) => Properties);
  expect(urls).toEqual([{ AuthType: 'AWS_IAM', TargetFunctionArn: { 'Fn::GetAtt': [id, 'Arn'] } }]);
  const open = Object.values(resourcesOf(template, 'AWS::Lambda::Permission')).filter(({ Properties }) =>
    JSON.stringify(Properties.FunctionName).includes(id),
  );
  expect(open).toEqual([]);
});

test('the function has the settings, and no address of OpenAI', () => {
  expect(fn.Properties.Layers).toHaveLength(1);
  expect(fn.Properties.Timeout).toBe(900);
  const other = synthesize({
    openaiBaseUrl: 'https://openai.example.com/v1',
    settings: { routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }] },
  });
  expect(Object.keys(functionOf(other, 'operate')[1].Properties.Environment.Variables)).not.toContain(
    'OPENAI_BASE_URL',
  );
});
