// What an author throws to say what becomes of a record.

export class Refusal extends Error {
  constructor(reason) {
    super(reason)
    this.name = this.constructor.name
  }
}

export class Skip extends Refusal {
  how = 'skip'
}

export class DeadLetter extends Refusal {
  how = 'dead-letter'
}

export class Fail extends Refusal {
  how = 'fail'
}

export class Retry extends Refusal {}

/** How the host is told of an error that refuses a record: any that is none of ours is a dead letter. */
export const how = error => (error instanceof Refusal ? error.how : 'dead-letter')

/** The text of whatever was thrown. */
export const reason = error => String(error?.message || error)

/** An engine that has no memory left answers for nothing any more: the host is to replace the instance. */
export const isOutOfMemory = error => error?.name === 'InternalError' && error.message === 'out of memory'
