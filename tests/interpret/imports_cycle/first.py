import second

VALUE = 1


class First:
    def twin(self):
        return second.Second()
