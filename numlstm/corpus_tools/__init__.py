"""Make one text to train on of what a person has: documents, exports of chats, and judge what it is good for."""
