// kafkajs against a broker: `exercise.js BOOTSTRAP TOPIC`. What is not as expected ends it with an assertion.
'use strict'

const assert = require('node:assert/strict')
const path = require('node:path')

// Installed beside the build, not beside this file.
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = require(path.join(process.env.CLIENTS, 'kafkajs'))

const LIMIT_MS = 60_000
const PARTITIONS = 3
const RECORDS = 30
const [bootstrap, topic] = process.argv.slice(2)
const group = `${topic}-group`
const kafka = new Kafka({ clientId: 'exercise', brokers: [bootstrap], logLevel: logLevel.ERROR })

async function until(what, condition) {
  const end = Date.now() + LIMIT_MS
  for (;;) {
    if (await condition()) return
    assert.ok(Date.now() < end, `waited ${LIMIT_MS} ms until ${what}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

async function create(admin) {
  const configEntries = [{ name: 'max.message.bytes', value: '2000' }]
  const made = { topic, numPartitions: PARTITIONS, replicationFactor: 1, configEntries }
  assert.equal(await admin.createTopics({ topics: [made], waitForLeaders: false }), true)
  // A broker answers for a topic a moment after the controller has made it.
  const partitions = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions
  const isLed = all => all.length === PARTITIONS && all.every(at => at.leader >= 0)
  await until('the topic is there', () => partitions().then(isLed, () => false))
}

async function produce() {
  const numbers = [...Array(RECORDS).keys()]
  const record = n => ({ key: `k${n}`, value: `v${n}`, headers: { n: `${n}` }, timestamp: `${1_000_000 + n}` })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  await producer.send({ topic, acks: -1, compression: CompressionTypes.GZIP, messages: numbers.map(record) })
  await producer.disconnect()
}

// One transaction that is aborted, and one that is committed with a position of a group.
async function transactions(admin) {
  const producer = kafka.producer({ transactionalId: `${topic}-id`, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const aborted = await producer.transaction()
  await aborted.send({ topic, messages: [{ key: 'aborted', value: 'x' }] })
  await aborted.abort()
  const committed = await producer.transaction()
  await committed.send({ topic, messages: [{ key: 'committed', value: 'x' }] })
  const topics = [{ topic, partitions: [{ partition: 0, offset: '5' }] }]
  await committed.sendOffsets({ consumerGroupId: `${group}-of-transaction`, topics })
  await committed.commit()
  await producer.disconnect()
  // A commit is answered before its markers are everywhere.
  await until('the position is committed', async () => {
    const [of] = await admin.fetchOffsets({ groupId: `${group}-of-transaction`, topics: [topic] })
    return of.partitions.find(at => at.partition === 0).offset === '5'
  })
}

async function consume(admin) {
  const seen = new Map()
  const consumer = kafka.consumer({ groupId: group, maxWaitTimeInMs: 500 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommit: true,
    autoCommitThreshold: 1,
    eachMessage: async ({ message }) => seen.set(message.key.toString(), message),
  })
  await until('every record is there', () => seen.size >= RECORDS + 1)
  const names = [...Array(RECORDS).keys()].map(n => `k${n}`).concat('committed')
  assert.deepEqual([...seen.keys()].sort(), names.sort())
  const one = seen.get('k7')
  assert.deepEqual([one.value.toString(), one.timestamp, one.headers.n.toString()], ['v7', '1000007', '7'])
  const described = await admin.describeGroups([group])
  assert.deepEqual([described.groups[0].state, described.groups[0].members.length], ['Stable', 1])
  await consumer.stop()
  await consumer.disconnect()
  const [of] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
  const read = of.partitions.reduce((sum, at) => sum + Math.max(Number(at.offset), 0), 0)
  // The offsets of the markers may or may not be among them.
  assert.ok(read >= RECORDS + 1, JSON.stringify(of))
}

async function configs(admin) {
  const of = { type: ConfigResourceTypes.TOPIC, name: topic }
  const value = async name => {
    const resources = [{ ...of, configNames: [name] }]
    const { resources: [found] } = await admin.describeConfigs({ includeSynonyms: true, resources })
    assert.deepEqual(found.configEntries.map(entry => entry.configName), [name])
    return found.configEntries[0].configValue
  }
  assert.equal(await value('max.message.bytes'), '2000')
  assert.equal(await value('cleanup.policy'), 'delete')
  const alter = configEntries => admin.alterConfigs({ validateOnly: false, resources: [{ ...of, configEntries }] })
  await alter([{ name: 'max.message.bytes', value: '3000' }])
  await until('it is altered', async () => (await value('max.message.bytes')) === '3000')
  await alter([])
  await until('it is as for all', async () => (await value('max.message.bytes')) === '1048588')
  await assert.rejects(alter([{ name: 'nonsense', value: '1' }]))
}

async function main() {
  const admin = kafka.admin()
  await admin.connect()
  await create(admin)
  await produce()
  await transactions(admin)
  await consume(admin)
  await configs(admin)
  await admin.deleteGroups([group])
  await admin.deleteTopics({ topics: [topic] })
  await admin.disconnect()
}

main().then(
  () => console.log('done'),
  error => {
    console.error(error)
    process.exit(1)
  }
)
